"""Own geometry for what stands beside roads: houses, trees, lamps, signs, posts. Needs panda3d."""

from __future__ import annotations

import functools
from collections.abc import Callable

from panda3d.core import NodePath

from stage1_core.data.road_scenes.assets import texture_of
from stage1_core.data.road_scenes.description import Thing
from stage1_core.data.road_scenes.geometry import box, coloured, cylinder, plate, turned
from stage1_core.data.road_scenes.signs import SIGN_NAMES, chevrons, facade, sign_face, stripes


def _building(thing: Thing) -> NodePath:
    house = box(3.2, thing.size)
    house.set_texture(_facade(thing.variant))
    house.set_color_scale(*thing.tint, 1)
    return house


def _container(thing: Thing) -> NodePath:
    crate = box(1.2, thing.size)
    crate.set_texture(_facade(3))
    crate.set_color_scale(*thing.tint, 1)
    return crate


def _tree(thing: Thing) -> NodePath:
    tree = NodePath("tree")
    width, _, height = thing.size
    stem = coloured(cylinder(), (0.3, 0.22, 0.15), 0)
    stem.set_scale(width * 0.07, width * 0.07, height * 0.5)
    stem.reparent_to(tree)
    crown = tree.attach_new_node("crown")
    _crown(thing.variant).instance_to(crown)
    crown.set_scale(width / 2, width / 2, height * 0.75)
    crown.set_z(height * 0.3)
    crown.set_color_scale(0.45 * thing.tint[0], 0.55 * thing.tint[1], 0.3 * thing.tint[2], 1)
    return tree


def _lamp(thing: Thing) -> NodePath:
    lamp = NodePath("lamp")
    reach, _, height = thing.size
    mast = coloured(cylinder(), (0.5, 0.52, 0.52), 0)
    mast.set_scale(0.08, 0.08, height)
    mast.reparent_to(lamp)
    arm = coloured(box(size=(reach, 0.12, 0.1)), (0.5, 0.52, 0.52), height)
    arm.set_x(-reach / 2)
    arm.reparent_to(lamp)
    return lamp


def _sign(thing: Thing) -> NodePath:
    sign = NodePath("sign")
    width, _, centre = thing.size
    post = coloured(cylinder(), (0.55, 0.55, 0.55), 0)
    post.set_scale(0.04, 0.04, centre + width * 0.3)
    post.set_y(0.06)
    post.reparent_to(sign)
    face = sign.attach_new_node("face")
    _face(SIGN_NAMES[thing.variant]).instance_to(face)
    face.set_scale(width)
    face.set_z(centre)
    return sign


def _post(thing: Thing) -> NodePath:
    width, _, height = thing.size
    post = NodePath("post")
    _post_shape(thing.variant).instance_to(post)
    post.set_scale(width / 2, width / 2, height)
    return post


def _bin(thing: Thing) -> NodePath:
    barrel = coloured(cylinder(), (0.8 * thing.tint[0], 0.8 * thing.tint[1], 0.8 * thing.tint[2]), 0)
    barrel.set_scale(thing.size[0] / 2, thing.size[1] / 2, thing.size[2])
    return barrel


def _chevron_board(thing: Thing) -> NodePath:
    width, length, height = thing.size
    board = box(size=(width, length, height * 0.55))
    board.set_texture(_chevrons())
    board.set_z(height * 0.45)
    holder = NodePath("chevron_board")
    board.reparent_to(holder)
    leg = coloured(cylinder(), (0.5, 0.5, 0.5), 0)
    leg.set_scale(0.06, 0.06, height * 0.5)
    leg.reparent_to(holder)
    return holder


FURNITURE: dict[str, Callable[[Thing], NodePath]] = {
    "building": _building,
    "container": _container,
    "tree": _tree,
    "lamp": _lamp,
    "sign": _sign,
    "post": _post,
    "bin": _bin,
    "chevron_board": _chevron_board,
}
"""Builder of each kind, standing on the origin and facing the camera."""


@functools.cache
def _crown(variant: int) -> NodePath:
    if variant == 0:
        return turned([(0.3, 0.0), (0.85, 0.18), (1.0, 0.4), (0.8, 0.72), (0.4, 0.92), (0.0, 1.0)], sides=9)
    return turned([(0.9, 0.0), (1.0, 0.08), (0.55, 0.5), (0.0, 1.0)], sides=8)


@functools.cache
def _post_shape(variant: int) -> NodePath:
    shape = turned([(1.0, 0.0), (1.0, 1.0), (0.6, 1.05)], sides=8)
    bands = [((235, 235, 235), (200, 30, 30)), ((240, 240, 240), (35, 35, 35)), ((230, 110, 30), (240, 240, 240))]
    shape.set_texture(texture_of(stripes(*bands[variant], slanted=False)))
    return shape


@functools.cache
def _facade(variant: int) -> NodePath:
    return texture_of(facade(variant))


@functools.cache
def _chevrons() -> NodePath:
    return texture_of(chevrons())


@functools.cache
def _face(name: str) -> NodePath:
    picture, outline = sign_face(name)
    face = NodePath("sign")
    front = plate(outline, 0.0)
    front.set_texture(texture_of(picture))
    front.reparent_to(face)
    back = plate(outline, 0.0)
    back.set_h(180)
    back.set_y(0.02)
    back.set_color(0.45, 0.45, 0.46, 1)
    back.reparent_to(face)
    return face
