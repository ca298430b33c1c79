"""What a training took, kept beside its checkpoints: a training that was killed and continued knows it too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Annotated, Protocol

from pydantic import Field

from stage1_core.config import FrozenModel
from stage1_core.data.replacing import replaced_file
from stage1_core.errors import Stage1Error
from stage1_core.training.loop import EpochResult

FILE = "cost.json"


class EpochCost(FrozenModel):
    """What one epoch took."""

    seconds: Annotated[float, Field(ge=0)]
    peak_memory_bytes: Annotated[int, Field(ge=0)]


class Costly(Protocol):
    """An epoch of any training."""

    @property
    def epoch(self) -> int:
        """Its number."""
        ...

    @property
    def seconds(self) -> float:
        """It took."""
        ...

    @property
    def peak_memory_bytes(self) -> int:
        """It used at most."""
        ...


class CostNotes(FrozenModel):
    """What training took so far."""

    epochs: dict[int, EpochCost] = Field(default_factory=dict)
    """By number."""


class CostLog:
    """Notes what each epoch took in ``folder``. It is told of an epoch after that was saved."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._notes = CostNotes.from_json_file(self._path) if self._path.exists() else CostNotes()

    def __call__(self, result: Costly) -> None:
        """Note an epoch."""
        cost = EpochCost(seconds=result.seconds, peak_memory_bytes=result.peak_memory_bytes)
        self._notes = CostNotes(epochs={**self._notes.epochs, result.epoch: cost})
        with replaced_file(self._path) as path:
            path.write_text(self._notes.to_json(), encoding="utf-8")

    def total(self, epochs: int) -> tuple[float, int]:
        """Seconds of ``epochs`` epochs, and the highest memory of any in bytes. Raises `Stage1Error` without notes.

        A kill between saving and noting loses an epoch's note: the mean of the others stands for it.
        """
        noted = self._notes.epochs.values()
        if not noted:
            raise Stage1Error(f"{self._path} says nothing of the epochs beside it; delete the folder and train again")
        return fmean(cost.seconds for cost in noted) * epochs, max(cost.peak_memory_bytes for cost in noted)


def in_turn(*listeners: Callable[[EpochResult], None] | None) -> Callable[[EpochResult], None]:
    """One listener that tells all of ``listeners``."""

    def tell(result: EpochResult) -> None:
        for listener in listeners:
            if listener is not None:
                listener(result)

    return tell
