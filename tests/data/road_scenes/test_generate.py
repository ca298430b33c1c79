from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stage1_core.data.road_scenes.description import RoadScenesConfig, descriptions_digest
from stage1_core.data.road_scenes.drives import describe_scenes
from stage1_core.data.road_scenes.generate import RenderedScenes, render_scenes
from stage1_core.data.road_scenes.visibility import appearance
from stage1_core.data.road_scenes.workers import PACKAGES
from stage1_core.errors import DataError, Stage1Error

ROOT = Path(__file__).parents[3]
CONFIG = RoadScenesConfig(pictures=12, seed=3, width=96, height=72, max_frames_per_drive=2)


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> tuple[RenderedScenes, list[tuple[int, int]]]:
    """A tiny set, rendered once for all tests of this module, and the progress that was reported."""
    progress: list[tuple[int, int]] = []
    made = render_scenes(
        CONFIG,
        tmp_path_factory.mktemp("scenes") / "set",
        processes=1,
        on_progress=lambda done, total: progress.append((done, total)),
    )
    return made, progress


@pytest.fixture
def copied(rendered: tuple[RenderedScenes, list[tuple[int, int]]], tmp_path: Path) -> Path:
    """A copy of the tiny set that a test may damage."""
    shutil.copytree(rendered[0].folder, tmp_path / "set")
    return tmp_path / "set"


def pictures_in(folder: Path) -> list[Path]:
    return sorted((folder / "images").glob("*/*.jpg"))


def test_every_described_scene_becomes_a_picture_of_the_asked_size(
    rendered: tuple[RenderedScenes, list[tuple[int, int]]],
) -> None:
    made, _ = rendered
    assert made.rendered_now == made.pictures == 12
    assert len(pictures_in(made.folder)) == 12
    for path in pictures_in(made.folder):
        with Image.open(path) as picture:
            picture.load()
            assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (96, 72))


def test_pictures_show_something(rendered: tuple[RenderedScenes, list[tuple[int, int]]]) -> None:
    for path in pictures_in(rendered[0].folder):
        with Image.open(path) as picture:
            grey = np.asarray(picture.convert("L"), int)
        assert grey.max() - grey.min() > 60


def test_cones_are_orange_which_they_are_not_when_their_texture_gets_lost(
    rendered: tuple[RenderedScenes, list[tuple[int, int]]],
) -> None:
    shares = []
    for scene in describe_scenes(CONFIG):
        cones = [appearance(scene.camera, thing) for thing in scene.things if thing.kind == "cone"]
        boxes = [box for box in cones if box is not None and 4 < box.left < box.right < 92]
        if not boxes:
            continue
        nearest = min(boxes, key=lambda box: box.depth)
        with Image.open(rendered[0].folder / scene.image) as picture:
            hsv = np.asarray(picture.convert("HSV"), int)
        hue, saturation, _ = hsv[
            round(nearest.top) : round(nearest.bottom), round(nearest.left) : round(nearest.right)
        ].T
        shares.append(((hue < 28) & (saturation > 110)).mean())
    assert shares
    assert max(shares) > 0.15


def test_the_label_file_lists_images_labels_drives_and_districts(
    rendered: tuple[RenderedScenes, list[tuple[int, int]]],
) -> None:
    made, _ = rendered
    with made.labels_csv.open(newline="") as file:
        rows = list(csv.DictReader(file))
    scenes = describe_scenes(CONFIG)
    assert [tuple(row.values()) for row in rows] == [
        (scene.image, str(scene.label), scene.drive, scene.district) for scene in scenes
    ]
    assert list(rows[0]) == ["image", "label", "group", "source"]
    assert made.digest == descriptions_digest(scenes)


def test_progress_runs_from_nothing_to_all(rendered: tuple[RenderedScenes, list[tuple[int, int]]]) -> None:
    _, progress = rendered
    assert progress[0] == (0, 12)
    assert progress[-1] == (12, 12)
    assert progress == sorted(progress)


def test_a_second_call_renders_nothing(copied: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in copied.rglob("*") if path.is_file()}
    again = render_scenes(CONFIG, copied, on_progress=lambda done, total: pytest.fail("nothing was to be done"))
    assert again.rendered_now == 0
    assert {path: path.stat().st_mtime_ns for path in copied.rglob("*") if path.is_file()} == before


def test_missing_and_truncated_pictures_are_rendered_again_and_others_are_not(copied: Path) -> None:
    missing, truncated, *others = pictures_in(copied)
    untouched = {path: path.stat().st_mtime_ns for path in others}
    missing.unlink()
    truncated.write_bytes(truncated.read_bytes()[:500])
    again = render_scenes(CONFIG, copied, processes=1)
    assert again.rendered_now == 2
    for path in (missing, truncated):
        with Image.open(path) as picture:
            picture.load()
    assert {path: path.stat().st_mtime_ns for path in others} == untouched


def test_what_a_killed_run_had_finished_is_not_rendered_again(copied: Path) -> None:
    (copied / "manifest.json").unlink()
    (copied / "images" / CONFIG.districts[0] / "picture.jpg.1.unfinished").write_bytes(b"half")
    before = {path: path.stat().st_mtime_ns for path in pictures_in(copied)}
    assert render_scenes(CONFIG, copied).rendered_now == 0
    assert {path: path.stat().st_mtime_ns for path in pictures_in(copied)} == before
    assert (copied / "manifest.json").exists()
    assert not list(copied.rglob("*.unfinished"))


def test_a_folder_that_holds_another_set_is_refused(copied: Path) -> None:
    other = CONFIG.model_copy(update={"seed": 4})
    with pytest.raises(DataError, match="seed 3, not 4; choose another folder"):
        render_scenes(other, copied)
    assert render_scenes(CONFIG, copied).rendered_now == 0


def test_a_folder_with_images_of_unknown_origin_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match="choose another folder"):
        render_scenes(CONFIG, tmp_path)


@pytest.mark.parametrize("name", ["scenes.jsonl", "scenes.csv"])
def test_a_damaged_list_is_written_again_without_rendering(copied: Path, name: str) -> None:
    before = (copied / name).read_bytes()
    (copied / name).write_bytes(before[:-50])
    assert render_scenes(CONFIG, copied).rendered_now == 0
    assert (copied / name).read_bytes() == before


def test_importing_the_generator_does_not_import_panda3d_or_metadrive() -> None:
    program = (
        "import sys, stage1_core.data.road_scenes.generate\n"
        "print(*{'panda3d', 'gltf', 'metadrive', 'torch', 'pandas'} & set(sys.modules))\n"
    )
    answer = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == ""


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PACKAGES, "no_such_module", "no-such-package==1.0")
    with pytest.raises(Stage1Error, match=r"pip install --no-deps no-such-package==1\.0"):
        render_scenes(CONFIG, tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_the_packages_named_are_those_of_the_requirements_file() -> None:
    lines = (ROOT / "requirements-scenes.txt").read_text().splitlines()
    assert set(PACKAGES.values()) == {line for line in lines if line and not line.startswith("#")}
