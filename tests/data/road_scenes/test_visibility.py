from __future__ import annotations

import pytest

from stage1_core.data.road_scenes.description import RoadScenesConfig, SceneDescription, Thing
from stage1_core.data.road_scenes.drives import describe_scenes
from stage1_core.data.road_scenes.visibility import appearance, evident_works


@pytest.fixture(scope="module")
def empty_road() -> SceneDescription:
    """A level camera 1.5 m above an empty road without haze; focal length 224 pixels."""
    scene = describe_scenes(RoadScenesConfig(pictures=2, roadwork_fraction=0))[0]
    camera = scene.camera.model_copy(
        update={"fov_deg": 59.49, "x": 0.0, "z": 1.5, "yaw_deg": 0.0, "pitch_deg": 0.0, "roll_deg": 0.0}
    )
    air = scene.air.model_copy(update={"visibility_m": 0.0})
    return scene.model_copy(update={"things": (), "camera": camera, "air": air})


def cone(x: float, y: float) -> Thing:
    return Thing(kind="cone", x=x, y=y, size=(0.6, 0.0, 1.0))


def holding(scene: SceneDescription, *things: Thing) -> SceneDescription:
    return scene.model_copy(update={"things": things})


def test_a_pinhole_camera_shows_a_metre_at_ten_metres_as_a_tenth_of_the_focal_length(
    empty_road: SceneDescription,
) -> None:
    seen = appearance(empty_road.camera, cone(1.0, 10.0))
    assert seen is not None
    assert seen.bottom - seen.top == pytest.approx(22.4, abs=0.05)
    assert (seen.left + seen.right) / 2 == pytest.approx(128 + 22.4, abs=0.05)
    assert seen.bottom == pytest.approx(112 + 1.5 * 22.4, abs=0.05)


def test_what_is_behind_the_camera_does_not_appear(empty_road: SceneDescription) -> None:
    assert appearance(empty_road.camera, cone(0.0, -5.0)) is None


def test_a_near_cone_is_evident(empty_road: SceneDescription) -> None:
    assert len(evident_works(holding(empty_road, cone(1.0, 10.0)))) == 1


def test_a_far_cone_is_too_small(empty_road: SceneDescription) -> None:
    assert not evident_works(holding(empty_road, cone(1.0, 40.0)))


def test_a_cone_at_the_margin_is_outside_the_central_square(empty_road: SceneDescription) -> None:
    assert not evident_works(holding(empty_road, cone(5.5, 10.0)))


def test_a_cone_behind_a_bus_is_covered_and_one_before_it_is_not(empty_road: SceneDescription) -> None:
    bus = Thing(kind="bus", x=0.0, y=14.0, size=(2.5, 4.0, 3.0))
    assert not evident_works(holding(empty_road, cone(0.2, 17.0), bus))
    assert evident_works(holding(empty_road, cone(0.2, 10.0), bus))


def test_a_cone_in_thick_haze_is_lost(empty_road: SceneDescription) -> None:
    hazy = empty_road.model_copy(update={"air": empty_road.air.model_copy(update={"visibility_m": 20.0})})
    assert not evident_works(holding(hazy, cone(1.0, 10.0)))
