"""Cross-entropy of the class logits, weighted and smoothed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from stage1_core.config import FrozenModel
from stage1_core.errors import DataError
from stage1_core.model.head import CLASSES, HeadOutput
from stage1_core.predictions import Integer
from stage1_core.training.targets import Objective, Targets


class CrossEntropy(Objective):
    """Weighted, smoothed cross-entropy of the class logits."""

    class_weights: Tensor

    def __init__(self, class_weights: Tensor, label_smoothing: float) -> None:
        super().__init__()
        self.register_buffer("class_weights", class_weights.float(), persistent=False)
        self.label_smoothing = label_smoothing

    def loss(self, output: HeadOutput, targets: Targets) -> Tensor:
        """Weighted mean over the batch: divided by the sum of the rows' class weights, as in PyTorch."""
        return self.of(output.class_logits, targets.labels)

    def end_epoch(self, sum_over_processes: Callable[[Tensor], Tensor]) -> None:
        """All epochs are alike."""

    def of(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The same mean for any ``(n, 2)`` logits."""
        return nn.functional.cross_entropy(
            logits, labels, weight=self.class_weights, label_smoothing=self.label_smoothing
        )

    def of_each_row(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """``(n,)`` weighted losses and ``(n,)`` weights; the quotient of their sums is `of`."""
        losses = nn.functional.cross_entropy(
            logits, labels, weight=self.class_weights, label_smoothing=self.label_smoothing, reduction="none"
        )
        return losses, self.class_weights[labels]


class CrossEntropyConfig(FrozenModel):
    """Cross-entropy with class weights N / (C · n_c), so that a rare class counts as much as a common one."""

    kind: Literal["cross_entropy"] = "cross_entropy"
    weight_classes: bool = True
    """Whether classes are weighted; without it every row counts the same."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the target that is spread evenly over both classes."""

    @property
    def classes(self) -> CrossEntropyConfig:
        """How the class logits are fitted."""
        return self

    @property
    def held_out_folds(self) -> int:
        """0: no answers of other models are needed."""
        return 0

    def build(self, class_counts: Integer) -> CrossEntropy:
        """The objective for FIT_WEIGHTS rows with ``(2,)`` ``class_counts``."""
        weights = class_weights(class_counts) if self.weight_classes else np.ones(CLASSES)
        return CrossEntropy(torch.from_numpy(weights), self.label_smoothing)


def class_weights(class_counts: Integer) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """``(C,)`` weights N / (C · n_c). Raises `DataError` where a class has no rows."""
    if (class_counts == 0).any():
        missing = int(np.flatnonzero(class_counts == 0)[0])
        raise DataError(f"no rows of class {missing} among the FIT_WEIGHTS rows; both classes are needed to fit a head")
    weights: np.ndarray[tuple[int], np.dtype[np.float64]] = class_counts.sum() / (len(class_counts) * class_counts)
    return weights


def count_classes(labels: Integer) -> Integer:
    """``(2,)`` rows of each class. Raises `DataError` for labels other than 0 and 1."""
    if not np.isin(labels, (0, 1)).all():
        raise DataError(f"labels must be 0 or 1 to fit weights, found {sorted(set(labels.tolist()))}")
    counts: Integer = np.bincount(labels, minlength=CLASSES).astype(np.int64)
    return counts
