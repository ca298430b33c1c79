"""Which epoch is kept, and when to stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated

from pydantic import Field
from torch import Tensor

from stage1_core.acceptance import Direction
from stage1_core.config import FrozenModel


class SelectionMetric(StrEnum):
    """A number of the SELECT_MODEL rows by which epochs are compared."""

    ACCURACY = "accuracy"
    AUGRC = "augrc"
    VAL_LOSS = "val_loss"

    @property
    def direction(self) -> Direction:
        """Where better lies: AT_LEAST where higher is better, AT_MOST where lower is."""
        return Direction.AT_LEAST if self is SelectionMetric.ACCURACY else Direction.AT_MOST

    def improves(self, value: float, on: float) -> bool:
        """Whether ``value`` is strictly better than ``on``."""
        return value > on if self.direction is Direction.AT_LEAST else value < on


class SelectionConfig(FrozenModel):
    """Model selection on the SELECT_MODEL rows."""

    metric: SelectionMetric = SelectionMetric.ACCURACY
    """Decides which epoch is released and when training stops."""
    keep_also: tuple[SelectionMetric, ...] = ()
    """Metrics whose best epochs are kept beside it."""
    patience: Annotated[int, Field(ge=1, le=10000)] | None = 3
    """Training stops after this many epochs without improvement; null trains to the end."""


@dataclass(frozen=True, slots=True, eq=False)
class Best:
    """The best epoch by one metric."""

    epoch: int
    """From 1."""
    value: float
    weights: dict[str, Tensor]
    """Averaged weights after that epoch, by parameter name, on the CPU."""


@dataclass(frozen=True, slots=True, eq=False)
class Progress:
    """What selection remembers."""

    best: Mapping[SelectionMetric, Best]
    misses: int = 0
    """Epochs since the deciding metric improved."""

    def after(
        self,
        epoch: int,
        values: Mapping[SelectionMetric, float],
        config: SelectionConfig,
        weights: Callable[[], dict[str, Tensor]],
    ) -> Progress:
        """Progress after ``epoch``, whose ``values`` belong to ``weights()``, which is called only for a best."""
        improved = [
            metric
            for metric in dict.fromkeys((config.metric, *config.keep_also))
            if metric not in self.best or metric.improves(values[metric], self.best[metric].value)
        ]
        if not improved:
            return replace(self, misses=self.misses + 1)
        kept = weights()
        best = dict(self.best) | {metric: Best(epoch, values[metric], kept) for metric in improved}
        return Progress(best, 0 if config.metric in improved else self.misses + 1)

    def exhausted(self, config: SelectionConfig) -> bool:
        """Whether patience is used up."""
        return config.patience is not None and self.misses >= config.patience
