from __future__ import annotations

import os
import struct
import warnings
import zlib
from pathlib import Path

import imagehash
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from stage1_core.data import fingerprints as fingerprints_module
from stage1_core.data import inspection
from stage1_core.data.columns import SAMPLE_COLUMNS, SOURCE_COLUMNS
from stage1_core.data.fingerprints import fingerprints
from stage1_core.data.inspection import inspect_images
from stage1_core.digests import digest_of_file


def picture(seed: int, width: int = 320, height: int = 200) -> Image.Image:
    """Soft random colours, as smooth as a street scene."""
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)


def source_rows(folder: Path, names: list[str]) -> pd.DataFrame:
    ids = [f"street/{name}" for name in names]
    return pd.DataFrame(
        {
            "id": ids,
            "path": [str(folder / name) for name in names],
            "label": 0,
            "source": "street",
            "group": ids,
            "role": "pool",
            "description": "",
        }
    ).astype(dict(SOURCE_COLUMNS))


def bits_apart(one: int, other: int) -> int:
    return (one ^ other).bit_count()


@pytest.fixture
def three(tmp_path: Path) -> pd.DataFrame:
    names = [f"{seed}.jpg" for seed in range(3)]
    for seed, name in enumerate(names):
        picture(seed).save(tmp_path / name)
    return source_rows(tmp_path, names)


def test_samples_are_the_source_rows_with_digest_hash_and_size(three: pd.DataFrame, tmp_path: Path) -> None:
    found = inspect_images(three, cache_folder=tmp_path / "cache")
    assert found.samples.dtypes.astype(str).to_dict() == dict(SAMPLE_COLUMNS)
    assert found.samples[list(SOURCE_COLUMNS)].equals(three)
    assert found.samples["sha256"].tolist() == [digest_of_file(Path(path)) for path in three["path"]]
    assert found.samples["phash"].tolist() == [one.phash for one in fingerprints(three["path"].tolist())]
    assert set(found.samples["width"]) == {320}
    assert set(found.samples["height"]) == {200}
    assert found.bad.empty


def test_the_hash_of_a_png_is_imagehash_s_own(tmp_path: Path) -> None:
    picture(1).save(tmp_path / "a.png")
    (found,) = fingerprints([str(tmp_path / "a.png")])
    assert f"{found.phash:016x}" == str(imagehash.phash(Image.open(tmp_path / "a.png")))


@pytest.mark.parametrize("seed", range(5))
def test_a_smaller_copy_in_another_format_is_a_near_duplicate(tmp_path: Path, seed: int) -> None:
    picture(seed, 1920, 1080).save(tmp_path / "large.jpg", quality=90)
    picture(seed, 1920, 1080).resize((640, 360)).save(tmp_path / "small.png")
    picture(seed + 100).save(tmp_path / "other.jpg")
    large, small, other = fingerprints([str(tmp_path / name) for name in ("large.jpg", "small.png", "other.jpg")])
    assert bits_apart(large.phash, small.phash) <= 3
    assert bits_apart(large.phash, other.phash) > 10


def test_a_rotated_camera_is_seen_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    picture(1).save(tmp_path / "turned.jpg", exif=exif)
    picture(1).transpose(Image.Transpose.ROTATE_270).save(tmp_path / "upright.png")
    turned, upright = fingerprints([str(tmp_path / "turned.jpg"), str(tmp_path / "upright.png")])
    assert (turned.width, turned.height) == (upright.width, upright.height) == (200, 320)
    assert bits_apart(turned.phash, upright.phash) <= 3


def png_that_claims(side_px: int) -> bytes:
    """A PNG whose header says that it is a square of this size, and that holds no pixels."""
    header = struct.pack(">IIBBBBB", side_px, side_px, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    body = (struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


BROKEN = {
    "empty.jpg": (b"", "the file is empty"),
    "text.jpg": (b"not a picture", "not a picture in any known format"),
    "huge.png": (png_that_claims(40_000), "DecompressionBombError"),
    "large.png": (png_that_claims(10_000), "DecompressionBombWarning"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_picture_is_set_aside_with_its_reason(three: pd.DataFrame, tmp_path: Path, name: str) -> None:
    content, reason = BROKEN[name]
    (tmp_path / name).write_bytes(content)
    rows = pd.concat([source_rows(tmp_path, [name]), three], ignore_index=True)
    found = inspect_images(rows, cache_folder=tmp_path / "cache")
    assert found.samples["id"].tolist() == three["id"].tolist()
    (bad,) = found.bad.to_dict("records")
    assert (bad["id"], bad["source"]) == (f"street/{name}", "street")
    assert reason in bad["reason"]


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_truncated_picture_is_set_aside(tmp_path: Path, suffix: str, kept: float) -> None:
    path = tmp_path / f"cut.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    (found,) = fingerprints([str(path)])
    assert found.reason != ""


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "gif", "tiff", "ppm"])
def test_no_damage_to_the_bytes_raises_or_warns(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(7)
    picture(0, 48, 32).save(tmp_path / f"good.{suffix}")
    content = np.frombuffer((tmp_path / f"good.{suffix}").read_bytes(), dtype=np.uint8)
    paths = []
    for number in range(60):
        damaged = content.copy()
        damaged[rng.integers(0, len(content), 4)] = rng.integers(0, 256, 4)
        damaged[rng.integers(0, min(80, len(content)), 2)] = rng.integers(0, 256, 2)
        paths.append(str(tmp_path / f"{number}.{suffix}"))
        Path(paths[-1]).write_bytes(damaged.tobytes())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = fingerprints(paths)
    assert [fingerprint.path for fingerprint in found] == paths


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "F"])
def test_every_pixel_format_that_can_be_a_picture_has_a_hash(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.tiff" if mode in ("CMYK", "F") else "a.png")
    grey = picture(0).convert("L")
    image = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257) if mode == "I;16" else picture(0).convert(mode)
    image.save(path)
    (found,) = fingerprints([str(path)])
    assert (found.reason, found.width, found.height) == ("", 320, 200)


def test_a_missing_file_is_bad_until_it_is_there(three: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "0.jpg"
    content = path.read_bytes()
    path.unlink()
    found = inspect_images(three, cache_folder=tmp_path / "cache")
    assert found.bad["reason"].tolist() == ["No such file or directory"]
    path.write_bytes(content)
    assert inspect_images(three, cache_folder=tmp_path / "cache").bad.empty


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that are really opened, in this process."""
    seen: list[str] = []

    def watched(paths: list[str]) -> list[fingerprints_module.Fingerprint]:
        seen.extend(Path(path).name for path in paths)
        return fingerprints(paths)

    monkeypatch.setattr(inspection, "fingerprints", watched)
    return seen


def test_a_picture_is_opened_once_and_again_only_when_it_changed(
    three: pd.DataFrame, tmp_path: Path, opened: list[str]
) -> None:
    first = inspect_images(three, cache_folder=tmp_path / "cache").samples
    again = inspect_images(three, cache_folder=tmp_path / "cache").samples
    assert again.equals(first)
    assert sorted(opened) == ["0.jpg", "1.jpg", "2.jpg"]
    picture(9).save(tmp_path / "1.jpg")
    changed = inspect_images(three, cache_folder=tmp_path / "cache").samples
    assert opened[3:] == ["1.jpg"]
    assert changed["sha256"].tolist() == [digest_of_file(Path(path)) for path in three["path"]]


def test_a_file_of_the_same_size_with_another_time_is_opened_again(
    three: pd.DataFrame, tmp_path: Path, opened: list[str]
) -> None:
    inspect_images(three, cache_folder=tmp_path / "cache")
    os.utime(tmp_path / "2.jpg", ns=(1, 1))
    inspect_images(three, cache_folder=tmp_path / "cache")
    assert opened[3:] == ["2.jpg"]


def test_a_broken_picture_is_not_opened_again_either(three: pd.DataFrame, tmp_path: Path, opened: list[str]) -> None:
    (tmp_path / "0.jpg").write_bytes(b"x")
    first = inspect_images(three, cache_folder=tmp_path / "cache")
    again = inspect_images(three, cache_folder=tmp_path / "cache")
    assert again.bad.equals(first.bad)
    assert len(opened) == 3


@pytest.mark.parametrize("damage", [b"", b"PAR1 nothing", b"\0" * 5000])
def test_a_damaged_cache_is_rebuilt(three: pd.DataFrame, tmp_path: Path, damage: bytes, opened: list[str]) -> None:
    first = inspect_images(three, cache_folder=tmp_path / "cache").samples
    (part,) = (tmp_path / "cache").iterdir()
    part.write_bytes(damage)
    assert inspect_images(three, cache_folder=tmp_path / "cache").samples.equals(first)
    assert len(opened) == 6
    inspect_images(three, cache_folder=tmp_path / "cache")
    assert len(opened) == 6


def test_a_cache_with_other_columns_is_rebuilt(three: pd.DataFrame, tmp_path: Path) -> None:
    first = inspect_images(three, cache_folder=tmp_path / "cache").samples
    (part,) = (tmp_path / "cache").iterdir()
    pd.DataFrame({"path": ["a"]}).to_parquet(part)
    assert inspect_images(three, cache_folder=tmp_path / "cache").samples.equals(first)


def test_many_small_runs_leave_few_cache_files(tmp_path: Path, opened: list[str]) -> None:
    names = [f"{seed}.png" for seed in range(20)]
    for seed, name in enumerate(names):
        picture(seed, 16, 16).save(tmp_path / name)
        inspect_images(source_rows(tmp_path, names[: seed + 1]), cache_folder=tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) <= 16
    assert opened == names


def test_one_file_listed_twice_is_opened_once(three: pd.DataFrame, tmp_path: Path, opened: list[str]) -> None:
    twice = pd.concat([three, three.assign(id="copy/" + three["id"])], ignore_index=True)
    found = inspect_images(twice, cache_folder=tmp_path / "cache").samples
    assert len(opened) == 3
    assert found["sha256"].tolist()[:3] == found["sha256"].tolist()[3:]


def test_worker_processes_find_the_same_in_the_same_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{seed}.png" for seed in range(70)]
    for seed, name in enumerate(names):
        picture(seed, 24, 16).save(tmp_path / name)
    (tmp_path / "33.png").write_bytes(b"x")
    rows = source_rows(tmp_path, names)
    alone = inspect_images(rows, cache_folder=tmp_path / "one", processes=1)
    monkeypatch.setattr(inspection, "_FEW", 2)
    together = inspect_images(rows, cache_folder=tmp_path / "two", processes=2)
    assert together.samples.equals(alone.samples)
    assert together.bad.equals(alone.bad)


def test_progress_rises_to_the_number_of_pictures(three: pd.DataFrame, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    inspect_images(three, cache_folder=tmp_path / "cache", on_progress=lambda done, total: seen.append((done, total)))
    assert (seen[0], seen[-1]) == ((0, 3), (3, 3))
    seen.clear()
    inspect_images(three, cache_folder=tmp_path / "cache", on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(3, 3)]


def test_no_rows_are_no_samples(tmp_path: Path) -> None:
    found = inspect_images(source_rows(tmp_path, []), cache_folder=tmp_path / "cache")
    assert (len(found.samples), len(found.bad)) == (0, 0)
    assert found.samples.dtypes.astype(str).to_dict() == dict(SAMPLE_COLUMNS)
