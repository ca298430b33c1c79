"""How micro-batches are gathered into one optimizer step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from stage1_core.config import FrozenModel


@dataclass(frozen=True, slots=True)
class UpdateBatch:
    """Micro-batches of one optimizer step, as positions in the epoch."""

    micro_batches: tuple[int, ...]
    weights: tuple[float, ...]
    """Factor on the mean loss of each micro-batch."""
    is_complete: bool = True
    """False where the gradient is only added up and the optimizer does not step."""


class WholeAccumulation(FrozenModel):
    """The gradient of a step is the mean over its rows; a short last step is a step of its own, with fewer rows."""

    kind: Literal["whole"] = "whole"
    micro_batches: Annotated[int, Field(ge=1, le=1024)] = 2
    """Micro-batches for each optimizer step."""

    def plan(self, rows: list[int]) -> list[UpdateBatch]:
        """Steps of an epoch whose micro-batches have ``rows`` rows."""
        positions = range(len(rows))
        steps = [positions[start : start + self.micro_batches] for start in positions[:: self.micro_batches]]
        return [UpdateBatch(tuple(step), _shares([rows[index] for index in step])) for step in steps]


class CarriedAccumulation(FrozenModel):
    """The historical way: micro-batches left over at the end of an epoch add to the first step of the next one.

    Each micro-batch counts 1 / `micro_batches`, also in that longer step. Kept for comparison.
    """

    kind: Literal["carried"] = "carried"
    micro_batches: Annotated[int, Field(ge=1, le=1024)] = 2
    """Micro-batches for each optimizer step."""

    def plan(self, rows: list[int]) -> list[UpdateBatch]:
        """Steps of an epoch whose micro-batches have ``rows`` rows; the last entry may be one that does not step."""
        positions = range(len(rows))
        steps = [positions[start : start + self.micro_batches] for start in positions[:: self.micro_batches]]
        weight = 1 / self.micro_batches
        return [UpdateBatch(tuple(s), (weight,) * len(s), is_complete=len(s) == self.micro_batches) for s in steps]


AccumulationConfig = Annotated[WholeAccumulation | CarriedAccumulation, Field(discriminator="kind")]
"""Every way to accumulate gradients; `kind` tells them apart."""


def _shares(rows: list[int]) -> tuple[float, ...]:
    total = sum(rows)
    return tuple(count / total for count in rows)
