"""Puts a described object into a panda3d scene: the wheel's models, and own geometry for all else. Needs panda3d."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from panda3d.core import NodePath, TransparencyAttrib

from stage1_core.data.road_scenes.assets import MODEL_FILES, fitted, load_model
from stage1_core.data.road_scenes.description import Thing
from stage1_core.data.road_scenes.furniture import FURNITURE
from stage1_core.data.road_scenes.geometry import box, coloured, cylinder, strips
from stage1_core.data.road_scenes.visibility import VEHICLE_KINDS

_CLEARANCE = 0.2
"""Metres between the ground and the body of a vehicle; the wheels fill it."""


def place(root: NodePath, thing: Thing) -> None:
    """Adds ``thing`` below ``root``, tinted, turned and standing on the ground."""
    holder = root.attach_new_node(thing.kind)
    holder.set_pos(thing.x, thing.y, 0)
    holder.set_h(thing.heading_deg)
    builder = _BUILDERS.get(thing.kind, _from_model)
    builder(thing).reparent_to(holder)
    if thing.kind in VEHICLE_KINDS:
        _shadow(thing.size[0] + 0.3, thing.size[1] + 0.3).reparent_to(holder)
    elif thing.kind in ("cone", "barricade", "bin", "container", "building"):
        _shadow(thing.size[0] * 1.15, thing.size[1] * 1.15).reparent_to(holder)


def _from_model(thing: Thing) -> NodePath:
    body = NodePath(thing.kind)
    width, length, height = thing.size
    lift = 0.0
    if thing.kind in VEHICLE_KINDS:
        lift = _CLEARANCE
        _wheels(width, length, 0.33 if height < 2.5 else 0.48).instance_to(body)
    shell = body.attach_new_node("shell")
    _model(thing.kind).instance_to(shell)
    shell.set_scale(width, length, height - lift)
    shell.set_z(lift)
    shell.set_color_scale(*thing.tint, 1)
    return body


def _boxy_vehicle(thing: Thing) -> NodePath:
    """A van or bus: a painted box with dark windows, red rear lights and wheels."""
    width, length, height = thing.size
    body = NodePath(thing.kind)
    paint = (0.85 * thing.tint[0], 0.85 * thing.tint[1], 0.85 * thing.tint[2])
    coloured(box(size=(width, length, height - 0.3)), paint, 0.3).reparent_to(body)
    glass = (0.12, 0.14, 0.17)
    pane = height * 0.3
    coloured(box(size=(width * 0.86, length + 0.04, pane)), glass, height * 0.6).reparent_to(body)
    coloured(box(size=(width + 0.04, length * 0.9, pane)), glass, height * 0.6).reparent_to(body)
    for side in (-1, 1):
        light = coloured(box(size=(0.16, 0.06, 0.3)), (0.75, 0.06, 0.05), 0.75)
        light.set_pos(side * width * 0.43, -length / 2, 0.75)
        light.reparent_to(body)
    _wheels(width, length, 0.36 if height < 2.5 else 0.48).instance_to(body)
    return body


_BUILDERS: dict[str, Callable[[Thing], NodePath]] = {**FURNITURE, "van": _boxy_vehicle, "bus": _boxy_vehicle}


def _shadow(width: float, length: float) -> NodePath:
    shadow = NodePath("shadow")
    _shadow_shape().instance_to(shadow)
    shadow.set_scale(width, length, 1)
    return shadow


@functools.cache
def _shadow_shape() -> NodePath:
    shape = strips(np.array([[-0.5, 0.5, -0.5, 0.5]], np.float32), 0.0, 1.0)
    shape.set_light_off()
    shape.set_color(0, 0, 0, 0.4)
    shape.set_transparency(TransparencyAttrib.M_alpha)
    shape.set_bin("background", 30)
    shape.set_depth_write(False)
    shape.set_depth_test(False)
    return shape


@functools.cache
def _model(kind: str) -> NodePath:
    """The wheel's model of ``kind`` scaled into the unit cube standing on the ground."""
    assert kind in MODEL_FILES, kind
    return fitted(load_model(kind), (1, 1, 1))


@functools.cache
def _wheels(width: float, length: float, radius: float) -> NodePath:
    wheels = NodePath("wheels")
    for across in (-1, 1):
        for along in (-1, 1):
            wheel = coloured(cylinder(), (0.07, 0.07, 0.07), radius)
            wheel.set_scale(radius, radius, 0.22)
            wheel.set_r(90 * across)
            wheel.set_pos(across * (width / 2 - 0.24), along * length * 0.31, radius)
            wheel.reparent_to(wheels)
    wheels.flatten_strong()
    return wheels
