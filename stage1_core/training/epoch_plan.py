"""Who computes what in an epoch: micro-batches over all processes, this process's part of them, optimizer steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from stage1_core.predictions import Integer
from stage1_core.training.accumulation import UpdateBatch
from stage1_core.training.batching import BatchConfig
from stage1_core.training.rows import split_order
from stage1_core.training.schedule import TrainingLength


@dataclass(frozen=True, slots=True, eq=False)
class EpochPlan:
    """One pass over the rows, as one of several processes sees it."""

    sizes: tuple[int, ...]
    """Rows of each micro-batch, over all processes."""
    own: tuple[Integer, ...]
    """Positions of this process's rows of each micro-batch."""
    steps: tuple[UpdateBatch, ...]
    loss_average: Literal["rows", "batches"]

    @staticmethod
    def of(order: Integer, batch_size: int, config: BatchConfig, *, process: int, processes: int) -> EpochPlan:
        """Cut the epoch's ``order`` into micro-batches of ``batch_size`` and share each out over the processes."""
        plan = split_order(order, batch_size, drop_last=config.drop_last)
        # a remainder smaller than the number of processes would leave one of them without a row
        plan = [positions for positions in plan if len(positions) >= processes]
        sizes = [len(positions) for positions in plan]
        own = tuple(positions[process::processes] for positions in plan)
        return EpochPlan(tuple(sizes), own, tuple(config.accumulation.plan(sizes)), config.loss_average)

    @property
    def rows(self) -> int:
        """Rows seen by all processes together."""
        return sum(self.sizes)

    def length(self, epochs: int) -> TrainingLength:
        """Of a training of ``epochs`` such epochs."""
        return TrainingLength(
            epochs=epochs,
            micro_batches_per_epoch=sum(len(step.micro_batches) for step in self.steps),
            updates_per_epoch=sum(step.is_complete for step in self.steps),
        )

    def weights(self, step: UpdateBatch) -> list[float]:
        """Factors on the mean losses of this process's part of the step's micro-batches."""
        shares = [len(self.own[index]) / self.sizes[index] for index in step.micro_batches]
        return [weight * share for weight, share in zip(step.weights, shares, strict=True)]

    def totals(self, observed: Sequence[Tensor]) -> Tensor:
        """``(2,)`` this process's addends of the epoch's mean loss and of its number of right answers.

        ``observed`` holds ``(m, 2)`` mean losses and right answers, of ``m`` micro-batches in their order.
        """
        loss_and_right = torch.cat(list(observed)).double()
        sizes = torch.tensor(self.sizes, dtype=torch.float64)
        own = torch.tensor([len(positions) for positions in self.own], dtype=torch.float64)
        counts = sizes if self.loss_average == "rows" else torch.ones_like(sizes)
        weights = (own / sizes * counts / counts.sum()).to(loss_and_right.device)
        return torch.stack([weights @ loss_and_right[:, 0], loss_and_right[:, 1].sum()])
