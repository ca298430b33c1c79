"""Training recipes to choose from: each is trained once with each of the same seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from statistics import fmean
from typing import Annotated

import numpy as np
from pydantic import Field

from stage1_core.config import FrozenModel
from stage1_core.errors import PolicyError
from stage1_core.predictions import Predictions
from stage1_core.splits import Purpose

Count = Annotated[int, Field(ge=0)]


class ArmCost(FrozenModel):
    """What training took."""

    trainable_parameters: Count
    peak_memory_bytes: Count | None
    """Highest use of the device while training; None where it was not measured."""
    seconds: Annotated[float, Field(ge=0)]
    """Wall clock of the training."""

    @staticmethod
    def nothing() -> ArmCost:
        """Of a training that need not be made."""
        return ArmCost(trainable_parameters=0, peak_memory_bytes=0, seconds=0)

    def after(self, earlier: ArmCost) -> ArmCost:
        """Of both, one after the other: parameters and seconds add up, the memory is that of the larger."""
        memory = (self.peak_memory_bytes, earlier.peak_memory_bytes)
        return ArmCost(
            trainable_parameters=self.trainable_parameters + earlier.trainable_parameters,
            peak_memory_bytes=None if None in memory else max(count for count in memory if count is not None),
            seconds=self.seconds + earlier.seconds,
        )

    @property
    def order(self) -> tuple[int, float]:
        """Less is cheaper: trainable parameters, then seconds."""
        return self.trainable_parameters, self.seconds


@dataclass(frozen=True, slots=True, eq=False)
class ArmRun:
    """One training of a recipe, and what its model says about the selection rows."""

    seed: int
    rows: Predictions
    cost: ArmCost


@dataclass(frozen=True, slots=True, eq=False)
class Arm:
    """A recipe, trained once for each seed."""

    name: str
    runs: tuple[ArmRun, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """In the order of the runs."""
        return tuple(run.seed for run in self.runs)

    @property
    def cost(self) -> ArmCost:
        """The most parameters and the most memory of any run, which a machine must have, and the mean of the seconds.

        The memory is unknown where that of one run is.
        """
        costs = [run.cost for run in self.runs]
        memory = [cost.peak_memory_bytes for cost in costs if cost.peak_memory_bytes is not None]
        return ArmCost(
            trainable_parameters=max(cost.trainable_parameters for cost in costs),
            peak_memory_bytes=max(memory) if len(memory) == len(costs) else None,
            seconds=fmean(cost.seconds for cost in costs),
        )


def same_rows(arms: Sequence[Arm], reference: str) -> Predictions:
    """The selection rows that all runs have in common, with the scores of the first.

    Raises `PolicyError` unless there are two arms or more with different names, one of them the ``reference``, all
    trained with the same seeds and evaluated on the same rows in the same order; `SplitUseError` for rows that were not
    read to select a model.
    """
    names = [arm.name for arm in arms]
    if len(names) < 2 or len(set(names)) < len(names) or reference not in names:
        raise PolicyError(
            f"cannot compare the arms {', '.join(names) or '(none)'} with {reference}; give two or more with different "
            "names, one of them the reference"
        )
    seeds = arms[0].seeds
    for arm in arms:
        if not seeds or len(set(seeds)) < len(seeds) or arm.seeds != seeds:
            raise PolicyError(
                f"{arm.name} was trained with the seeds {arm.seeds} and {arms[0].name} with {seeds}; train every arm "
                "once with each of the same seeds, in the same order"
            )
    rows = arms[0].runs[0].rows
    if len(rows) == 0:
        raise PolicyError("there is no row to compare the arms on; give the rows that models are selected on")
    for arm, place in product(arms, range(len(seeds))):
        other = arm.runs[place].rows
        other.require(Purpose.SELECT_MODEL)
        if not np.array_equal(rows.scores.ids, other.scores.ids):
            raise PolicyError(
                f"{arm.name} (seed {seeds[place]}) must be compared on the same rows in the same order as the other "
                "arms; predict again"
            )
    return rows
