"""What stands beside the road, in scenes of both classes alike."""

from __future__ import annotations

import numpy as np

from stage1_core.data.road_scenes.description import Colour, District, Road, Thing
from stage1_core.data.road_scenes.districts import CHARACTERS
from stage1_core.data.road_scenes.signs import OTHER_SIGNS, SIGN_NAMES


def draw_roadside(rng: np.random.Generator, district: District, road: Road) -> list[Thing]:
    """Buildings, trees, lamps, containers and signs on both sides, from beside the camera to 120 metres ahead."""
    character = CHARACTERS[district]
    things: list[Thing] = []
    edge = road.half_width() + road.pavement_width
    for side in (-1, 1):
        y = rng.uniform(-5, 5)
        while y < 130:
            length = rng.uniform(9, 20)
            if rng.random() < character.building_chance:
                width, height = rng.uniform(8, 16), rng.uniform(*character.building_height)
                setback = edge + 0.6 + rng.uniform(*character.building_setback) + width / 2
                x, facade = side * setback + road.bend_at(y), int(rng.choice(character.facades))
                things.append(
                    thing("building", x, y + length / 2, (width, length, height), _plaster(rng), variant=facade)
                )
            elif rng.random() < character.container_chance:
                x = side * (edge + rng.uniform(2, 6)) + road.bend_at(y)
                things.append(thing("container", x, y, (2.4, 6.0, 2.6 * rng.integers(1, 3)), _vivid(rng)))
            y += length + rng.uniform(0, 3)
        y = rng.uniform(0, 10)
        while y < 110:
            if rng.random() < character.tree_chance:
                crown = rng.uniform(1.6, 4.5)
                x = side * (edge + rng.uniform(1.2, 9)) + road.bend_at(y)
                leaves = (rng.uniform(0.5, 1.2), rng.uniform(0.7, 1.1), rng.uniform(0.4, 0.8))
                size = (crown, crown, crown * rng.uniform(1.3, 2.2))
                things.append(thing("tree", x, y, size, leaves, variant=int(rng.integers(2))))
            y += rng.uniform(6, 14)
        offset, y = side * (edge + 0.7), rng.uniform(4, character.lamp_gap)
        while y < 110 and side == 1:
            things.append(thing("lamp", offset + road.bend_at(y), y, (1.6, 0.15, rng.uniform(6, 8))))
            y += character.lamp_gap
    return things + _signs(rng, road, edge)


def draw_easily_mistaken(rng: np.random.Generator, road: Road) -> list[Thing]:
    """Red, orange and striped objects that are no works: they stand in scenes of both classes alike."""
    things: list[Thing] = []
    edge = road.half_width() + 0.4
    side = 1 if rng.random() < 0.65 else -1
    if rng.random() < 0.2:
        start, gap, face = rng.uniform(7, 25), rng.uniform(3, 9), int(rng.integers(3))
        for y in start + gap * np.arange(rng.integers(3, 9)):
            things.append(
                thing("post", side * edge + road.bend_at(float(y)), float(y), (0.14, 0.14, 1.0), variant=face)
            )
    if rng.random() < 0.12:
        y = rng.uniform(12, 35)
        things.append(thing("chevron_board", side * (edge + 0.8) + road.bend_at(y), y, (1.5, 0.1, 1.1)))
    if rng.random() < 0.2:
        y = rng.uniform(8, 25)
        size = (0.5, 0.5, rng.uniform(0.7, 1.2))
        tint = _vivid(rng)
        things.append(thing("bin", side * (edge + rng.uniform(0.4, 1.5)) + road.bend_at(y), y, size, tint))
    if rng.random() < 0.04:
        y = rng.uniform(28, 50)
        things.append(thing("tollgate", road.bend_at(y), y, (road.half_width() * 2 + 1.5, 5.0, 4.6)))
    return things


def draw_sign(rng: np.random.Generator, names: tuple[str, ...], x: float, y: float, *, facing: bool) -> Thing:
    """A sign on its post; one that does not face the camera shows its grey back."""
    name = names[rng.integers(len(names))]
    width = rng.uniform(0.6, 0.95) * (2.2 if name == "exit_board" else 1)
    heading = (0.0 if facing else 180.0) + rng.normal(0, 5)
    return thing("sign", x, y, (width, 0.1, rng.uniform(1.9, 2.8)), heading=heading, variant=SIGN_NAMES.index(name))


def _signs(rng: np.random.Generator, road: Road, edge: float) -> list[Thing]:
    signs = []
    for _ in range(rng.poisson(0.9)):
        y = rng.uniform(9, 45)
        facing = rng.random() < 0.75
        side = 1 if facing or rng.random() < 0.3 else -1
        # Signs for the other direction stand on the other side and may well announce works there: only backs show.
        names = OTHER_SIGNS if facing else SIGN_NAMES
        signs.append(draw_sign(rng, names, side * (edge + rng.uniform(0.3, 1.2)) + road.bend_at(y), y, facing=facing))
    return signs


def thing(
    kind: str,
    x: float,
    y: float,
    size: tuple[float, float, float],
    tint: Colour = (1.0, 1.0, 1.0),
    *,
    heading: float = 0.0,
    variant: int = 0,
) -> Thing:
    """A thing whose size may come from numpy."""
    width, length, height = (float(extent) for extent in size)
    return Thing(kind=kind, x=x, y=y, heading_deg=heading, size=(width, length, height), tint=tint, variant=variant)


def _plaster(rng: np.random.Generator) -> Colour:
    grey = rng.uniform(0.55, 1.05)
    return (grey * rng.uniform(0.95, 1.1), grey, grey * rng.uniform(0.82, 1.05))


def _vivid(rng: np.random.Generator) -> Colour:
    choices: tuple[Colour, ...] = (
        (0.95, 0.35, 0.1),
        (0.85, 0.12, 0.1),
        (0.1, 0.3, 0.7),
        (0.15, 0.5, 0.2),
        (0.9, 0.75, 0.1),
    )
    return choices[rng.integers(len(choices))]
