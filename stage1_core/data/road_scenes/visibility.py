"""Whether the works of a scene can be seen: labels must not rest on objects that no picture shows."""

from __future__ import annotations

import math
from typing import NamedTuple

from stage1_core.data.road_scenes.description import Camera, SceneDescription, Thing

WORKS_KINDS = frozenset({"cone", "barricade"})
VEHICLE_KINDS = frozenset({"car_coupe", "car_beetle", "car_sport", "car_jeep", "truck", "van", "bus"})

_SMALLEST_HEIGHT = 0.054
"""Least height of an evident object as a fraction of the picture's: 12 of 224 pixels."""
_LEAST_OBJECTS = 2
_LEAST_AREA = 0.02
"""Least area of all evident objects together as a fraction of the central square: 1,004 of 224 x 224 pixels."""
_LEAST_UNCOVERED = 0.6
_LEAST_CONTRAST = 0.35
_SAMPLES_PER_SIDE = 5


class Rectangle(NamedTuple):
    """Where an object appears: pixels from the left and from the top, and metres from the camera."""

    left: float
    top: float
    right: float
    bottom: float
    depth: float


def works_are_evident(scene: SceneDescription) -> bool:
    """Whether a person would see at a glance that there are works.

    Counts cones and barricades that are large enough, inside the central square, uncovered and not lost in haze; asks
    for two of them, and for a least area together. Uses bounding boxes and ignores the camera's roll, so it errs by a
    few pixels.
    """
    side = min(scene.camera.width_px, scene.camera.height_px)
    evident = evident_works(scene)
    area = sum((item.right - item.left) * (item.bottom - item.top) for item in evident)
    return len(evident) >= _LEAST_OBJECTS and area >= _LEAST_AREA * side * side


def evident_works(scene: SceneDescription) -> list[Rectangle]:
    """Where the evident cones and barricades appear."""
    camera = scene.camera
    works = [appearance(camera, thing) for thing in scene.things if thing.kind in WORKS_KINDS]
    covers = [appearance(camera, thing) for thing in scene.things if thing.kind in VEHICLE_KINDS]
    in_front = [rectangle for rectangle in covers if rectangle is not None]
    return [item for item in works if item is not None and _is_evident(item, in_front, scene)]


def appearance(camera: Camera, thing: Thing) -> Rectangle | None:
    """The upright rectangle that ``thing`` fills in the picture, or None behind the camera."""
    yaw, pitch = math.radians(camera.yaw_deg), math.radians(camera.pitch_deg)
    across, along = thing.x - camera.x, thing.y - camera.y
    right = across * math.cos(yaw) + along * math.sin(yaw)
    ahead = -across * math.sin(yaw) + along * math.cos(yaw)
    width, length, height = thing.size
    if abs(math.cos(math.radians(thing.heading_deg))) < 0.7:
        width, length = length, width
    nearest = ahead - length / 2
    if nearest < 1.0:
        return None
    focal_px = camera.width_px / 2 / math.tan(math.radians(camera.fov_deg) / 2)

    def project(metres_right: float, metres_up: float) -> tuple[float, float]:
        depth = nearest * math.cos(pitch) + metres_up * math.sin(pitch)
        up = -nearest * math.sin(pitch) + metres_up * math.cos(pitch)
        return camera.width_px / 2 + focal_px * metres_right / depth, camera.height_px / 2 - focal_px * up / depth

    half = width / 2 + length / 2 * abs(right) / max(ahead, 1.0)
    left_px, bottom = project(right - half, -camera.z)
    right_px, top = project(right + half, height - camera.z)
    return Rectangle(left_px, top, right_px, bottom, ahead)


def _is_evident(item: Rectangle, covers: list[Rectangle], scene: SceneDescription) -> bool:
    camera = scene.camera
    if item.bottom - item.top < _SMALLEST_HEIGHT * camera.height_px:
        return False
    half_square = min(camera.width_px, camera.height_px) / 2
    if abs((item.left + item.right) / 2 - camera.width_px / 2) > 0.95 * half_square:
        return False
    if abs((item.top + item.bottom) / 2 - camera.height_px / 2) > 0.93 * half_square:
        return False
    if scene.air.visibility_m > 0 and math.exp(-3 * item.depth / scene.air.visibility_m) < _LEAST_CONTRAST:
        return False
    return _uncovered_fraction(item, [cover for cover in covers if cover.depth < item.depth]) >= _LEAST_UNCOVERED


def _uncovered_fraction(item: Rectangle, covers: list[Rectangle]) -> float:
    steps = [(index + 0.5) / _SAMPLES_PER_SIDE for index in range(_SAMPLES_PER_SIDE)]
    points = [
        (item.left + x * (item.right - item.left), item.top + y * (item.bottom - item.top))
        for x in steps
        for y in steps
    ]
    seen = sum(
        not any(cover.left <= x <= cover.right and cover.top <= y <= cover.bottom for cover in covers)
        for x, y in points
    )
    return seen / len(points)
