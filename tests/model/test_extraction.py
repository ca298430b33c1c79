from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from stage1_core.compute import Compute, DaskCompute, DaskLocalCompute
from stage1_core.data.features import FeatureStore
from stage1_core.data.pictures import open_picture
from stage1_core.data.transforms import Letterbox, ResizeCenterCrop
from stage1_core.digests import digest_of_file
from stage1_core.errors import DataError, ModelError
from stage1_core.model import extraction
from stage1_core.model.backbone import load_backbone
from stage1_core.model.backbone_config import RandomWeights, TimmBackboneConfig
from stage1_core.model.extraction import extract_features
from stage1_core.model.shards import ShardExtraction
from stage1_core.model.weights import backbone_digest

BACKBONE = TimmBackboneConfig(model="test_efficientnet", weights=RandomWeights())
TRANSFORM = ResizeCenterCrop(resize_px=36, crop_px=32)


def made_rows(folder: Path, count: int) -> pd.DataFrame:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    paths = [folder / f"{number}.png" for number in range(count)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(path, compress_level=1)
    sha256 = [digest_of_file(path) for path in paths]
    return pd.DataFrame({"id": [path.name for path in paths], "path": [str(path) for path in paths], "sha256": sha256})


@pytest.fixture
def rows(tmp_path: Path) -> pd.DataFrame:
    return made_rows(tmp_path / "pictures", 11)


def extract(rows: pd.DataFrame, store: Path, **options):
    return extract_features(rows, BACKBONE, TRANSFORM, **{"store_folder": store, "device": "cpu"} | options)


def in_store(folder: Path) -> FeatureStore:
    store = FeatureStore.open(folder, backbone_digest=backbone_digest(BACKBONE), transform_digest=TRANSFORM.digest())
    assert store is not None
    return store


def test_features_are_the_backbones_on_transformed_pictures(rows, tmp_path: Path):
    features = extract(rows, tmp_path / "store")
    pixels = torch.stack([TRANSFORM.apply(open_picture(path)) for path in rows["path"]])
    expected = load_backbone(BACKBONE, device="cpu")(pixels).numpy()

    assert features.ids.tolist() == rows["id"].tolist()
    assert features.values.dtype == np.float32
    assert np.abs(features.values - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("options", [{"workers": 1}, {"workers": 3}, {"batch_size": 4}], ids=str)
def test_threads_and_order_do_not_change_a_bit(rows, tmp_path: Path, options):
    whole = extract(rows, tmp_path / "whole").values
    shuffled = rows.iloc[[3, 9, 0, 10, 1, 2, 4, 8, 7, 6, 5]]
    again = extract(shuffled, tmp_path / "again", **options)

    assert np.array_equal(again.values, whole[shuffled.index])


def test_in_two_parts_gives_the_bits_of_one(rows, tmp_path: Path):
    whole = extract(rows, tmp_path / "whole").values
    extract(rows.head(5), tmp_path / "parts")

    assert np.array_equal(extract(rows, tmp_path / "parts").values, whole)


def test_only_missing_pictures_are_computed(rows, tmp_path: Path):
    extract(rows.head(5), tmp_path / "store")
    seen: list[tuple[int, int]] = []
    for path in rows["path"].head(5):
        Path(path).unlink()

    extract(rows, tmp_path / "store", on_progress=lambda done, total: seen.append((done, total)))

    assert seen[0] == (5, 11)
    assert seen[-1] == (11, 11)
    assert seen == sorted(seen)


def test_nothing_missing_loads_no_model(rows, tmp_path: Path, monkeypatch):
    first = extract(rows, tmp_path / "store")
    monkeypatch.delattr(extraction, "load_backbone")
    seen: list[tuple[int, int]] = []
    again = extract(rows, tmp_path / "store", on_progress=lambda done, total: seen.append((done, total)))

    assert np.array_equal(again.values, first.values)
    assert seen == [(11, 11)]


def test_equal_pictures_are_computed_once(rows, tmp_path: Path):
    doubled = pd.concat([rows, rows.assign(id="copy of " + rows["id"])], ignore_index=True)
    features = extract(doubled, tmp_path / "store")

    assert np.array_equal(features.values[:11], features.values[11:])
    assert sum(path.stat().st_size for path in tmp_path.rglob("features.f32")) == 11 * features.values.shape[1] * 4


def test_no_rows_give_no_features_of_the_right_width(rows, tmp_path: Path):
    features = extract(rows.head(0), tmp_path / "store")

    assert features.values.shape == (0, load_backbone(BACKBONE, device="cpu").hidden)


def test_another_transform_has_features_of_its_own(rows, tmp_path: Path):
    first = extract(rows, tmp_path / "store").values
    other = extract_features(
        rows, BACKBONE, Letterbox(size_px=32), store_folder=tmp_path / "store", device="cpu"
    ).values

    assert not np.allclose(first, other)
    assert np.array_equal(extract(rows, tmp_path / "store").values, first)


def test_damaged_features_are_made_again(rows, tmp_path: Path):
    first = np.array(extract(rows, tmp_path / "store").values)
    (data,) = tmp_path.rglob("features.f32")
    data.write_bytes(bytes(100) + data.read_bytes()[100:])

    assert np.array_equal(extract(rows, tmp_path / "store").values, first)


def test_a_broken_picture_names_itself_and_keeps_what_was_done(rows, tmp_path: Path):
    Path(rows["path"][9]).write_bytes(b"not a picture")
    rows.loc[9, "sha256"] = digest_of_file(Path(rows["path"][9]))

    with pytest.raises(DataError, match=r"9\.png"):
        extract(rows, tmp_path / "store", batch_size=2)

    assert len(in_store(tmp_path / "store").missing(rows["sha256"].tolist())) < 11


def test_a_picture_that_changed_since_the_audit_is_not_cached(rows, tmp_path: Path):
    Image.new("RGB", (9, 9)).save(rows["path"][0])

    with pytest.raises(DataError, match=r"0\.png has changed since it was audited"):
        extract(rows, tmp_path / "store")


def test_rows_without_digests_are_refused(rows, tmp_path: Path):
    with pytest.raises(DataError, match="lack the columns sha256"):
        extract(rows.drop(columns="sha256"), tmp_path / "store")


def test_features_that_are_not_finite_are_refused(rows, tmp_path: Path, monkeypatch):
    def broken(*args: object, **options: object) -> object:
        backbone = load_backbone(*args, **options)
        backbone.std.zero_()
        return backbone

    monkeypatch.setattr(extraction, "load_backbone", broken)
    monkeypatch.setattr(extraction, "for_inference", lambda backbone: backbone)

    with pytest.raises(ModelError, match=r"0\.png are not finite"):
        extract(rows, tmp_path / "store")


def test_pytorchs_threads_are_given_back(rows, tmp_path: Path):
    before = torch.get_num_threads()
    extract(rows, tmp_path / "store")

    assert torch.get_num_threads() == before


PROGRAM = """
    import sys, time
    from pathlib import Path
    import pandas as pd
    from stage1_core.model import extraction
    from tests.model.test_extraction import BACKBONE, TRANSFORM

    extraction._SECONDS_BETWEEN_WRITES = 0.0
    def slowly(done, total):
        print(done, flush=True)
        time.sleep(0.02)
    rows = pd.read_json(sys.argv[1], dtype=False)
    extraction.extract_features(
        rows, BACKBONE, TRANSFORM, store_folder=Path(sys.argv[2]), device="cpu", batch_size=2, on_progress=slowly
    )
"""


@pytest.mark.slow
def test_a_killed_extraction_goes_on_where_it_stopped(tmp_path: Path):
    rows = made_rows(tmp_path / "pictures", 60)
    rows.to_json(tmp_path / "rows.json")
    whole = extract(rows, tmp_path / "whole", batch_size=2).values
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(tmp_path / "rows.json"), str(tmp_path / "store")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 20:
            os.kill(process.pid, signal.SIGKILL)
            break
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    with next((tmp_path / "store").rglob("features.f32")).open("ab") as file:
        file.write(b"a vector that was being written")
    missing = len(in_store(tmp_path / "store").missing(rows["sha256"].tolist()))
    seen: list[tuple[int, int]] = []

    features = extract(
        rows, tmp_path / "store", batch_size=2, on_progress=lambda done, total: seen.append((done, total))
    )

    assert 0 < missing <= 50
    assert seen[0] == (60 - missing, 60)
    assert np.array_equal(features.values, whole)


@pytest.mark.slow
def test_two_extractions_at_once_share_the_work(tmp_path: Path):
    rows = made_rows(tmp_path / "pictures", 40)
    rows.to_json(tmp_path / "rows.json")
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(tmp_path / "rows.json"), str(tmp_path / "store")]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) for _ in range(2)
    ]
    outputs = [process.communicate()[0].split() for process in processes]

    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(output[0] for output in outputs) == ["0", "40"]


TWO_PROCESSES = DaskLocalCompute(workers=2)


def files_of(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.rglob("*") if path.name in ("features.f32", "space.json")}


@pytest.mark.slow
def test_two_worker_processes_fill_the_store_with_the_bits_of_this_one(tmp_path: Path):
    rows = made_rows(tmp_path / "pictures", 100)
    here = extract(rows, tmp_path / "here")
    extract(rows.head(8), tmp_path / "elsewhere")
    seen: list[tuple[int, int]] = []

    elsewhere = extract(
        rows, tmp_path / "elsewhere", compute=TWO_PROCESSES, on_progress=lambda done, total: seen.append((done, total))
    )

    assert np.array_equal(elsewhere.values, here.values)
    assert files_of(tmp_path / "elsewhere") == files_of(tmp_path / "here")
    assert seen == [(8, 100), (72, 100), (100, 100)]


@pytest.mark.slow
def test_a_broken_picture_at_a_worker_names_itself_and_keeps_what_was_done(tmp_path: Path):
    rows = made_rows(tmp_path / "pictures", 100)
    Path(rows["path"][99]).write_bytes(b"not a picture")
    rows.loc[99, "sha256"] = digest_of_file(Path(rows["path"][99]))

    with pytest.raises(DataError, match=r"99\.png"):
        extract(rows, tmp_path / "store", compute=TWO_PROCESSES)

    assert in_store(tmp_path / "store").missing(rows["sha256"].tolist()) == rows["sha256"].tolist()[64:]


@pytest.mark.parametrize(
    ("compute", "there"), [(DaskLocalCompute(workers=1), "cuda:1"), (DaskCompute(address="elsewhere:8786"), "cuda")]
)
def test_only_this_machines_processes_are_told_which_gpu(rows, tmp_path, monkeypatch, compute: Compute, there: str):
    told: list[str] = []

    def answer(_self: Compute, shard: ShardExtraction, items):
        told.append(shard.device)
        yield from map(dataclasses.replace(shard, device="cpu"), items)

    monkeypatch.setattr(type(compute), "map", answer)
    extract(rows, tmp_path / "store", compute=compute, device="cuda:1")
    assert told == [there]


@pytest.mark.slow
def test_a_worker_with_other_weights_computes_nothing(rows, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(extraction, "backbone_digest", lambda config: "0" * 64)

    with pytest.raises(ModelError, match="a worker finds other weights of test_efficientnet"):
        extract(rows, tmp_path / "store", compute=TWO_PROCESSES)


def test_nothing_missing_starts_no_worker(rows, tmp_path: Path, monkeypatch):
    first = extract(rows, tmp_path / "store")
    monkeypatch.setitem(sys.modules, "distributed", None)

    assert np.array_equal(extract(rows, tmp_path / "store", compute=TWO_PROCESSES).values, first.values)
