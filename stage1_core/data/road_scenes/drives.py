"""Drives past works and past none: how a seed becomes scene descriptions, without rendering anything."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator

import numpy as np

from stage1_core.data.road_scenes.circumstances import draw_air, draw_camera, draw_road, draw_sensor
from stage1_core.data.road_scenes.description import (
    Camera,
    District,
    RoadScenesConfig,
    SceneDescription,
    Sensor,
    Thing,
)
from stage1_core.data.road_scenes.roadside import draw_easily_mistaken, draw_roadside
from stage1_core.data.road_scenes.traffic import draw_breakdown, draw_traffic, without_collisions
from stage1_core.data.road_scenes.visibility import VEHICLE_KINDS, works_are_evident
from stage1_core.data.road_scenes.works import draw_works
from stage1_core.errors import DataError

_ATTEMPTS = 4000
_WORKS_PER_TRAFFIC = 40
"""Attempts with the same traffic and kind of works before both are drawn again: the choice of evident works should not
become a choice of empty roads or of barricades."""
_BARRICADES = (0.0, 0.0, 0.0, 0.3, 1.0)
"""Fraction of barricades among the works of a drive; cones are harder to see."""
_LONGEST_STEP = 4.0
"""Metres between two frames."""


def describe_scenes(config: RoadScenesConfig) -> tuple[SceneDescription, ...]:
    """All scenes of a set, ordered by drive and frame.

    The number of pictures of either class is exact. Every drive has its own generator, seeded by the configuration's
    seed, its condition and the drive's number, so drives do not depend on each other.
    """
    plan = _plan(config)
    return tuple(scene for number, drive in enumerate(plan) for scene in _describe_drive(config, number, *drive))


def _plan(config: RoadScenesConfig) -> list[tuple[District, int, int]]:
    """District, label and number of frames of each drive; shuffled, so that a drive's number tells nothing."""
    rng = _generator(config, "plan")
    with_works = round(config.pictures * config.roadwork_fraction)
    plan: list[tuple[District, int, int]] = []
    for label, wanted in ((1, with_works), (0, config.pictures - with_works)):
        made, turn = 0, int(rng.integers(len(config.districts)))
        while made < wanted:
            frames = min(int(rng.integers(1, config.max_frames_per_drive + 1)), wanted - made)
            plan.append((config.districts[turn % len(config.districts)], label, frames))
            made, turn = made + frames, turn + 1
    return [plan[index] for index in rng.permutation(len(plan))]


def _describe_drive(
    config: RoadScenesConfig, number: int, district: District, label: int, frames: int
) -> list[SceneDescription]:
    rng = _generator(config, f"drive {number}")
    road = draw_road(rng, district)
    camera = draw_camera(rng, config, road, district)
    first = SceneDescription(
        drive=f"{config.condition}-{config.seed}-{number:05d}",
        frame=0,
        district=district,
        label=1 if label else 0,
        condition=config.condition,
        camera=camera,
        road=road,
        air=draw_air(rng, config.condition),
        sensor=draw_sensor(rng, config.condition),
        things=(),
    )
    beside = draw_roadside(rng, district, road) + draw_easily_mistaken(rng, road) + draw_breakdown(rng, road)
    for attempt in range(_ATTEMPTS):
        # Only works and traffic are drawn again: surroundings must look alike in both classes.
        again = _generator(config, f"drive {number} attempt {attempt}")
        traffic_rng = _generator(config, f"drive {number} traffic {attempt // _WORKS_PER_TRAFFIC}")
        traffic = draw_traffic(traffic_rng, district, road)
        works = draw_works(again, road, camera, float(traffic_rng.choice(_BARRICADES))) if label else []
        things = without_collisions(works, beside, traffic, camera)
        scenes = []
        for scene in _move_on(again, first.model_copy(update={"things": tuple(things)}), frames):
            if label and not works_are_evident(scene):
                break
            scenes.append(scene)
        else:
            return scenes
    raise DataError(
        f"drive {number} shows no evident works in {_ATTEMPTS} attempts at {config.width}x{config.height} pixels; "
        "choose a picture that is not so narrow, or fewer frames per drive"
    )


def _move_on(rng: np.random.Generator, start: SceneDescription, frames: int) -> Iterator[SceneDescription]:
    """What the camera sees as it drives on by a metre or more a frame; traffic moves, everything else stays."""
    camera, sensor, road = start.camera, start.sensor, start.road
    travelled = 0.0
    pace = {index: rng.uniform(-0.2, 0.3) for index, thing in enumerate(start.things) if thing.kind in VEHICLE_KINDS}
    for frame in range(frames):
        moved = {
            "x": camera.x + road.bend_at(travelled) + rng.normal(0, 0.06),
            "y": travelled,
            "yaw_deg": camera.yaw_deg - math.degrees(road.curvature * travelled) + rng.normal(0, 0.5),
            "pitch_deg": camera.pitch_deg + rng.normal(0, 0.4),
            "roll_deg": camera.roll_deg + rng.normal(0, 0.3),
        }
        exposed = {"gain": sensor.gain * rng.uniform(0.95, 1.05), "noise_seed": int(rng.integers(2**31))}
        yield start.model_copy(
            update={
                "frame": frame,
                "camera": Camera.model_validate(camera.model_dump() | moved),
                "sensor": Sensor.model_validate(sensor.model_dump() | exposed),
                "things": tuple(
                    _after(thing, travelled * pace.get(index, 0.0)) for index, thing in enumerate(start.things)
                ),
            }
        )
        travelled += rng.uniform(1.2, _LONGEST_STEP)


def _after(thing: Thing, metres: float) -> Thing:
    return thing.model_copy(update={"y": round(thing.y + metres, 3)}) if metres else thing


def _generator(config: RoadScenesConfig, purpose: str) -> np.random.Generator:
    text = f"road scenes/{config.condition}/{config.seed}/{purpose}"
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big"))
