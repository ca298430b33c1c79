"""Road works: cones and barricades that close part of a lane."""

from __future__ import annotations

import math

import numpy as np

from stage1_core.data.road_scenes.description import Camera, Road, Thing
from stage1_core.data.road_scenes.roadside import draw_sign
from stage1_core.data.road_scenes.signs import WORKS_SIGNS
from stage1_core.data.road_scenes.traffic import draw_vehicle


def draw_works(rng: np.random.Generator, road: Road, camera: Camera, barricades: float) -> list[Thing]:
    """Three to nine cones or barricades in a taper that closes part of a lane, sometimes announced by a sign.

    That may be the camera's own lane or one further out, all beyond it being closed altogether. ``barricades`` is the
    expected fraction of them among the objects.
    """
    side = 1 if rng.random() < 0.75 else -1
    count = int(rng.integers(3, 10))
    # A wide angle shows the same cone smaller: works are as large in the picture when they are nearer.
    farthest = 18 * min(1.0, 0.55 / math.tan(math.radians(camera.fov_deg) / 2))
    start, spacing = rng.uniform(4.5, farthest), rng.uniform(1.2, 3.5)
    between = int((road.half_width() - side * camera.x) / road.lane_width)
    closed = float(rng.integers(between + 1) + rng.uniform(0.35, 0.95)) * road.lane_width
    cone_height = rng.uniform(0.7, 1.05)
    things = []
    for index in range(count):
        y = start + index * spacing + rng.normal(0, 0.15)
        taper = min(1.0, (index + 0.5) / max(2.0, 0.6 * count))
        x = side * (road.half_width() - closed * taper) + road.bend_at(y) + rng.normal(0, 0.1)
        dirt = rng.uniform(0.75, 1.05)
        if rng.random() < barricades:
            kind, size = "barricade", (rng.uniform(1.2, 1.5), 0.6, rng.uniform(1.2, 1.5))
        else:
            kind, size = "cone", (cone_height * 0.62, cone_height * 0.62, cone_height)
        heading = rng.normal(0, 12)
        things.append(
            Thing(kind=kind, x=x, y=y, heading_deg=heading, size=size, tint=(dirt, dirt * rng.uniform(0.93, 1), dirt))
        )
    if rng.random() < 0.45:
        y = max(5.0, start - rng.uniform(-4, 10))
        edge = road.half_width() + road.pavement_width + rng.uniform(0.3, 1.0)
        things.append(draw_sign(rng, WORKS_SIGNS, side * edge + road.bend_at(y), y, facing=True))
    if rng.random() < 0.2:
        y = start + count * spacing + rng.uniform(3, 10)
        x = side * (road.half_width() - road.lane_width / 2) + road.bend_at(y)
        things.append(draw_vehicle(rng, x, y, 0.0))
    return things
