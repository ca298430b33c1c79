"""The learning rate as a function of the optimizer steps made."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from stage1_core.config import FrozenModel

Factor = Callable[[int], float]
"""Optimizer steps made so far to the factor on the peak learning rate of the next step."""


@dataclass(frozen=True, slots=True)
class TrainingLength:
    """How long training is, in both units."""

    epochs: int
    micro_batches_per_epoch: int
    updates_per_epoch: int
    """Optimizer steps: micro-batches divided by the accumulation."""


class WarmupEpochs(FrozenModel):
    """Warm-up for a number of epochs."""

    kind: Literal["epochs"] = "epochs"
    epochs: Annotated[float, Field(ge=0, le=1000)] = 1.0
    """Epochs, may be a fraction of one."""

    def updates(self, length: TrainingLength) -> int:
        """Warm-up in optimizer steps."""
        return round(self.epochs * length.updates_per_epoch)


class WarmupFraction(FrozenModel):
    """Warm-up for a share of the whole training."""

    kind: Literal["fraction"] = "fraction"
    fraction: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Share of all optimizer steps."""

    def updates(self, length: TrainingLength) -> int:
        """Warm-up in optimizer steps."""
        return round(self.fraction * length.epochs * length.updates_per_epoch)


class WarmupCosineConfig(FrozenModel):
    """Linear warm-up, then half a cosine down to the end of training; both counted in optimizer steps."""

    kind: Literal["warmup_cosine"] = "warmup_cosine"
    warmup: Annotated[WarmupEpochs | WarmupFraction, Field(discriminator="kind")] = WarmupEpochs()
    """Length of the warm-up; never longer than the training."""
    final_fraction: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Learning rate after the last step, as a fraction of the peak."""

    def factor(self, length: TrainingLength) -> Factor:
        """(t + 1) / W for the W warm-up steps t, then f + (1 - f) (1 + cos π (t - W) / (T - W)) / 2."""
        total = length.epochs * length.updates_per_epoch
        warmup = min(self.warmup.updates(length), total)

        def at(step: int) -> float:
            if step < warmup:
                return (step + 1) / warmup
            progress = min(1.0, (step - warmup) / max(1, total - warmup))
            return self.final_fraction + (1 - self.final_fraction) * (1 + math.cos(math.pi * progress)) / 2

        return at


class HistoricalScheduleConfig(FrozenModel):
    """The historical trainer's schedule, kept for comparison.

    Its lengths are counted in micro-batches but it advances once per optimizer step: with an accumulation of 2 the
    warm-up lasts two epochs, the cosine ends half-way, and the first update has a learning rate of 0.
    """

    kind: Literal["historical"] = "historical"
    warmup_epochs: Annotated[int, Field(ge=0, le=1000)] = 1
    """Nominal warm-up in epochs."""

    def factor(self, length: TrainingLength) -> Factor:
        """step / W while step < W, then (1 + cos π (step - W) / (T - W)) / 2, W and T in micro-batches."""
        total = length.epochs * length.micro_batches_per_epoch
        warmup = self.warmup_epochs * length.micro_batches_per_epoch

        def at(step: int) -> float:
            if step < warmup:
                return step / warmup
            # the maximum only avoids the original's division by zero where warm-up fills the whole training
            return (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup))) / 2

        return at


ScheduleConfig = Annotated[WarmupCosineConfig | HistoricalScheduleConfig, Field(discriminator="kind")]
"""Every schedule; `kind` tells them apart."""
