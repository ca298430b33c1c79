"""Exponential moving average of the weights: the weights that are validated and released."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from stage1_core.config import FrozenModel

Decay = Annotated[float, Field(ge=0, lt=1)]


class WarmupAverageConfig(FrozenModel):
    """d_t = min(decay, (1 + t) / (10 + t)) at update t: the initial weights are forgotten within a hundred updates."""

    kind: Literal["warmup"] = "warmup"
    decay: Decay = 0.9999
    """Largest share of the old average that an update keeps."""

    def decay_at(self, update: int) -> float:
        """Share of the old average kept at ``update``, counted from 0."""
        return min(self.decay, (1 + update) / (10 + update))


class ConstantAverageConfig(FrozenModel):
    """The historical average: one decay from the first update on, starting at the random initial weights.

    At .9999 half of the initial weights is still there after 6931 updates; kept for comparison.
    """

    kind: Literal["constant"] = "constant"
    decay: Decay = 0.9999
    """Share of the old average that an update keeps."""

    def decay_at(self, update: int) -> float:
        """The decay, whatever the update."""
        return self.decay


class NoAverageConfig(FrozenModel):
    """The weights as they are after the last update."""

    kind: Literal["none"] = "none"

    def decay_at(self, update: int) -> float:
        """0: nothing of the past is kept."""
        return 0.0


AverageConfig = Annotated[NoAverageConfig | WarmupAverageConfig | ConstantAverageConfig, Field(discriminator="kind")]
"""Every way to average weights; `kind` tells them apart."""


class WeightAverage:
    """The running average of ``parameters``, a copy that shares no memory with them."""

    def __init__(self, config: AverageConfig, parameters: Mapping[str, Tensor]) -> None:
        self._config = config
        self._parameters = dict(parameters)
        self._average = {name: value.detach().clone() for name, value in self._parameters.items()}
        self.updates = 0

    @torch.no_grad()
    def update(self) -> None:
        """average <- d · average + (1 - d) · parameter. Call once after each optimizer step."""
        decay = self._config.decay_at(self.updates)
        values = [parameter.detach() for parameter in self._parameters.values()]
        if decay == 0:
            torch._foreach_copy_(list(self._average.values()), values)
        else:
            torch._foreach_lerp_(list(self._average.values()), values, 1 - decay)
        self.updates += 1

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The parameters hold the average inside the block, and bit for bit what they held before after it."""
        backup = {name: value.detach().clone() for name, value in self._parameters.items()}
        self._write(self._average)
        try:
            yield
        finally:
            self._write(backup)

    def values(self) -> dict[str, Tensor]:
        """A copy of the average, on the CPU."""
        return {name: value.to("cpu", copy=True) for name, value in self._average.items()}

    def load(self, values: Mapping[str, Tensor], updates: int) -> None:
        """Continue from a saved average after ``updates`` updates."""
        for name, value in self._average.items():
            value.copy_(values[name])
        self.updates = updates

    @torch.no_grad()
    def _write(self, values: Mapping[str, Tensor]) -> None:
        for name, parameter in self._parameters.items():
            parameter.copy_(values[name])
