"""Vehicles: moving, parked and broken down."""

from __future__ import annotations

import numpy as np

from stage1_core.data.road_scenes.description import Camera, Colour, District, Road, Thing
from stage1_core.data.road_scenes.roadside import thing
from stage1_core.data.road_scenes.visibility import VEHICLE_KINDS, WORKS_KINDS

_VEHICLES: dict[str, tuple[float, tuple[float, float, float]]] = {
    "car_coupe": (0.26, (1.80, 4.40, 1.30)),
    "car_beetle": (0.10, (1.70, 4.10, 1.50)),
    "car_sport": (0.12, (1.85, 4.45, 1.20)),
    "car_jeep": (0.12, (1.95, 4.40, 1.75)),
    "truck": (0.14, (2.50, 6.20, 3.00)),
    "van": (0.18, (1.95, 5.00, 2.20)),
    "bus": (0.08, (2.50, 10.5, 3.00)),
}
"""Share of the traffic, and width, length, height in metres."""


_SOLID = VEHICLE_KINDS | WORKS_KINDS
_CLEAR_AHEAD = 12.0
"""Metres before the first frame's camera in which its own lane is free."""


def draw_traffic(rng: np.random.Generator, district: District, road: Road) -> list[Thing]:
    """Moving vehicles in the lanes and parked ones beside the road."""
    vehicles = []
    for lane in range(road.lanes):
        oncoming = district != "motorway" and lane < road.lanes // 2
        y = rng.uniform(9, 30)
        while y < 95:
            if rng.random() < 0.42:
                x = road.lane_centre(lane) + road.bend_at(y) + rng.normal(0, 0.2)
                vehicles.append(draw_vehicle(rng, x, y, 180.0 if oncoming else 0.0))
            y += rng.uniform(11, 40)
    if district != "motorway" and not road.guard_rails and rng.random() < 0.4:
        side = 1 if rng.random() < 0.6 else -1
        y = rng.uniform(8, 20)
        while y < 60:
            x = side * (road.half_width() + 1.3) + road.bend_at(y)
            if rng.random() < 0.6:
                vehicles.append(draw_vehicle(rng, x, y, 0.0 if side == 1 else 180.0))
            y += rng.uniform(6.5, 12)
    return vehicles


def draw_breakdown(rng: np.random.Generator, road: Road) -> list[Thing]:
    """Sometimes a broken-down car on the right-hand edge with its warning triangle some metres before it."""
    if rng.random() >= 0.13:
        return []
    y = rng.uniform(16, 34)
    x = road.half_width() - rng.uniform(-0.8, 0.8)
    gap = rng.uniform(4, 9)
    size = rng.uniform(0.5, 0.75)
    triangle = thing("warning_triangle", x + road.bend_at(y - gap), y - gap, (size * 1.1, 0.15, size))
    return [draw_vehicle(rng, x + road.bend_at(y), y, 0.0), triangle]


def draw_vehicle(rng: np.random.Generator, x: float, y: float, heading_deg: float) -> Thing:
    """A car, van, truck or bus of a random colour; one in twelve is orange like a works vehicle."""
    kinds = list(_VEHICLES)
    kind = kinds[rng.choice(len(kinds), p=[share for share, _ in _VEHICLES.values()])]
    tint = (1.0, rng.uniform(0.4, 0.55), 0.12) if rng.random() < 1 / 12 else _paint(rng)
    return thing(kind, x, y, _VEHICLES[kind][1], tint, heading=heading_deg + rng.normal(0, 1.5))


def without_collisions(works: list[Thing], beside: list[Thing], traffic: list[Thing], camera: Camera) -> list[Thing]:
    """All things, leaving out vehicles that would stand in another, among the works or just before the camera."""
    kept = works + beside
    for vehicle in traffic:
        free = not any(_overlap(vehicle, other) for other in kept if other.kind in _SOLID)
        if free and not _blocks_view(vehicle, camera):
            kept = [*kept, vehicle]
    return kept


def _blocks_view(vehicle: Thing, camera: Camera) -> bool:
    """Whether the camera's car would be about to hit the vehicle."""
    return abs(vehicle.x - camera.x) < 2.2 and vehicle.y - vehicle.size[1] / 2 < _CLEAR_AHEAD


def _overlap(one: Thing, other: Thing) -> bool:
    gap_across = abs(one.x - other.x) - (one.size[0] + other.size[0]) / 2
    gap_along = abs(one.y - other.y) - (one.size[1] + other.size[1]) / 2
    return gap_across < 0.15 and gap_along < 1.0


def _paint(rng: np.random.Generator) -> Colour:
    grey = rng.uniform(0.35, 1.1)
    return (grey * rng.uniform(0.8, 1.2), grey * rng.uniform(0.85, 1.1), grey * rng.uniform(0.8, 1.2))
