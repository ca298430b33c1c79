"""What every objective is: ``objective.loss(HeadOutput, Targets)``, and what is known about the rows of a batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from stage1_core.model.head import HeadOutput


class Targets(NamedTuple):
    """What is known about the ``n`` rows of a batch."""

    labels: Tensor
    """``(n,)`` int64 true class, 0 or 1."""
    held_out_correct: Tensor | None = None
    """``(n,)`` float32: 1 where a model that had not seen the row named its class, 0 where it did not."""

    def to(self, device: torch.device) -> Targets:
        """The same on ``device``."""
        correct = self.held_out_correct
        return Targets(
            self.labels.to(device, non_blocking=True),
            None if correct is None else correct.to(device, non_blocking=True),
        )


class Objective(nn.Module, ABC):
    """A loss with, where it needs one, a state of its own; the state travels in checkpoints as its ``state_dict``.

    In training mode `loss` may add to the state, in eval mode it leaves it alone.
    """

    @abstractmethod
    def loss(self, output: HeadOutput, targets: Targets) -> Tensor:
        """Scalar mean loss of a batch; ``output`` is float32."""

    @abstractmethod
    def end_epoch(self, sum_over_processes: Callable[[Tensor], Tensor]) -> None:
        """Go on to the next epoch, called once after each; ``sum_over_processes`` joins what each process has seen."""
