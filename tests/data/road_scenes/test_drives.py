from __future__ import annotations

import itertools
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from pydantic import ValidationError

from stage1_core.data.road_scenes.description import RoadScenesConfig, SceneDescription, descriptions_digest
from stage1_core.data.road_scenes.drives import describe_scenes
from stage1_core.data.road_scenes.visibility import WORKS_KINDS, works_are_evident

CONFIG = RoadScenesConfig(pictures=60, seed=5)
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def scenes() -> tuple[SceneDescription, ...]:
    return describe_scenes(CONFIG)


def test_the_same_seed_describes_the_same_scenes_in_another_process(scenes: tuple[SceneDescription, ...]) -> None:
    program = (
        "from stage1_core.data.road_scenes.description import RoadScenesConfig, descriptions_digest\n"
        "from stage1_core.data.road_scenes.drives import describe_scenes\n"
        "print(descriptions_digest(describe_scenes(RoadScenesConfig(pictures=60, seed=5))))\n"
    )
    environment = {"PYTHONHASHSEED": "123", "PYTHONPATH": str(ROOT)}
    answer = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == descriptions_digest(scenes)


@pytest.mark.parametrize("change", [{"seed": 6}, {"condition": "rain"}, {"pictures": 61}, {"width": 320}])
def test_another_configuration_has_another_digest(
    scenes: tuple[SceneDescription, ...], change: dict[str, int | str]
) -> None:
    other = RoadScenesConfig.model_validate(CONFIG.model_dump() | change)
    assert descriptions_digest(describe_scenes(other)) != descriptions_digest(scenes)


@pytest.mark.parametrize(
    ("pictures", "fraction", "with_works"), [(60, 0.5, 30), (31, 0.2, 6), (9, 0.0, 0), (9, 1.0, 9)]
)
def test_the_number_of_pictures_of_each_class_is_exact(pictures: int, fraction: float, with_works: int) -> None:
    described = describe_scenes(RoadScenesConfig(pictures=pictures, roadwork_fraction=fraction))
    assert len(described) == pictures
    assert sum(scene.label for scene in described) == with_works


def test_all_frames_of_a_drive_share_label_district_and_road(scenes: tuple[SceneDescription, ...]) -> None:
    drives = defaultdict(list)
    for scene in scenes:
        drives[scene.drive].append(scene)
    assert max(len(frames) for frames in drives.values()) == CONFIG.max_frames_per_drive
    for frames in drives.values():
        assert len({(scene.label, scene.district, scene.road) for scene in frames}) == 1
        assert [scene.frame for scene in frames] == list(range(len(frames)))


def test_the_camera_moves_on_from_frame_to_frame(scenes: tuple[SceneDescription, ...]) -> None:
    for earlier, later in itertools.pairwise(scenes):
        if earlier.drive == later.drive:
            assert later.camera.y > earlier.camera.y + 1


def test_cones_and_barricades_stand_in_pictures_with_works_and_nowhere_else(
    scenes: tuple[SceneDescription, ...],
) -> None:
    for scene in scenes:
        works = [thing for thing in scene.things if thing.kind in WORKS_KINDS]
        assert 3 <= len(works) <= 9 if scene.label else not works


@pytest.mark.parametrize("condition", ["clear", "rain", "night", "other_camera"])
def test_works_are_evident_in_every_frame_that_is_labelled_so(condition: str) -> None:
    described = describe_scenes(RoadScenesConfig.model_validate({"pictures": 40, "condition": condition}))
    assert all(works_are_evident(scene) == bool(scene.label) for scene in described)


def test_every_district_shows_both_classes(scenes: tuple[SceneDescription, ...]) -> None:
    assert {(scene.district, scene.label) for scene in scenes} == {
        (district, label) for district in CONFIG.districts for label in (0, 1)
    }


def test_easily_mistaken_objects_stand_in_both_classes() -> None:
    described = describe_scenes(RoadScenesConfig(pictures=300, max_frames_per_drive=1))
    for kind in ("post", "chevron_board", "bin", "warning_triangle", "sign", "truck"):
        assert {scene.label for scene in described if any(thing.kind == kind for thing in scene.things)} == {0, 1}


def test_drives_of_sets_with_another_seed_or_condition_never_share_a_name() -> None:
    names = [
        {scene.drive for scene in describe_scenes(RoadScenesConfig(pictures=10, seed=seed, condition=condition))}
        for seed, condition in ((0, "clear"), (1, "clear"), (0, "night"))
    ]
    assert not names[0] & names[1]
    assert not names[0] & names[2]


def test_a_description_survives_json(scenes: tuple[SceneDescription, ...]) -> None:
    assert SceneDescription.model_validate_json(scenes[0].model_dump_json()) == scenes[0]


def test_a_district_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValidationError, match="districts"):
        RoadScenesConfig.model_validate({"districts": ["moon"]})
