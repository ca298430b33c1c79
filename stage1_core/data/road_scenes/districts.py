"""What sets one district apart from another."""

from __future__ import annotations

from typing import NamedTuple

from stage1_core.data.road_scenes.description import District, Verge


class Character(NamedTuple):
    """What sets a district apart. Chances are per 10 metres and side."""

    lanes: tuple[int, ...]
    lane_width: tuple[float, float]
    pavement: tuple[float, float]
    verges: tuple[Verge, ...]
    building_chance: float
    building_setback: tuple[float, float]
    building_height: tuple[float, float]
    facades: tuple[int, ...]
    tree_chance: float
    lamp_gap: float
    container_chance: float


CHARACTERS: dict[District, Character] = {
    "old_town": Character(
        lanes=(2, 2, 3),
        lane_width=(2.9, 3.3),
        pavement=(1.8, 3.5),
        verges=("paving",),
        building_chance=0.85,
        building_setback=(0.3, 3),
        building_height=(7, 16),
        facades=(0, 1),
        tree_chance=0.12,
        lamp_gap=22,
        container_chance=0,
    ),
    "suburb": Character(
        lanes=(2, 2, 3),
        lane_width=(3.0, 3.5),
        pavement=(0, 2),
        verges=("grass", "grass", "soil"),
        building_chance=0.4,
        building_setback=(6, 14),
        building_height=(4, 8),
        facades=(0, 1),
        tree_chance=0.5,
        lamp_gap=35,
        container_chance=0,
    ),
    "motorway": Character(
        lanes=(3, 4),
        lane_width=(3.5, 3.8),
        pavement=(0, 0),
        verges=("grass", "soil"),
        building_chance=0.05,
        building_setback=(25, 45),
        building_height=(5, 12),
        facades=(2, 3),
        tree_chance=0.35,
        lamp_gap=60,
        container_chance=0,
    ),
    "harbour": Character(
        lanes=(2, 3, 4),
        lane_width=(3.2, 3.7),
        pavement=(0, 1),
        verges=("concrete", "concrete", "soil"),
        building_chance=0.4,
        building_setback=(8, 22),
        building_height=(6, 14),
        facades=(2, 3),
        tree_chance=0.05,
        lamp_gap=30,
        container_chance=0.36,
    ),
}
