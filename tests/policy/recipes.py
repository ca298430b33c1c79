"""Arms whose truth is known: recipes of the same strength but for what each gains, trained with several seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from stage1_core.policy.arms import Arm, ArmCost, ArmRun
from stage1_core.predictions import Integer, Predictions
from stage1_core.splits import Purpose
from tests.toys import predictions_of


def cost(parameters: int, seconds: float = 60.0, memory: int | None = 3 << 28) -> ArmCost:
    return ArmCost(trainable_parameters=parameters, peak_memory_bytes=memory, seconds=seconds)


@dataclass(frozen=True)
class Recipes:
    """What all arms have in common. Margins are sums of normal numbers; their signs are the class decisions."""

    strength: float = 1.6
    """Mean margin towards the right class."""
    luck: float = 0.0
    """Standard deviation of a model's strength over seeds."""
    own: float = 0.5
    """Standard deviation, by group, of what a model makes of it by itself, beside what all models share (1)."""
    groups: int = 200
    group_size: int = 2
    seeds: int = 3

    def draw(self, rng: np.random.Generator, gains: Mapping[str, float], *, cheapest_last: bool = False) -> list[Arm]:
        """An arm for each name, stronger by its gain; each costs more than the one before, or less."""
        group = np.repeat(np.arange(self.groups), self.group_size)
        labels = group % 2
        shared = rng.normal(size=self.groups)[group]
        costs = [cost(1000 * (place + 1)) for place in range(len(gains))]
        return [
            Arm(
                name,
                tuple(
                    ArmRun(seed, self._rows(rng, group, labels, shared + self.strength + gain), price)
                    for seed in range(self.seeds)
                ),
            )
            for (name, gain), price in zip(gains.items(), costs[:: -1 if cheapest_last else 1], strict=True)
        ]

    def _rows(self, rng: np.random.Generator, group: Integer, labels: Integer, towards: np.ndarray) -> Predictions:
        alone = self.luck * rng.normal() + self.own * rng.normal(size=self.groups)[group]
        margins = (2 * labels - 1) * (towards + alone + 0.2 * rng.normal(size=len(group)))
        names = np.char.add("scene ", group.astype(np.str_))
        return predictions_of(3 * margins, labels, purpose=Purpose.SELECT_MODEL, groups=names)
