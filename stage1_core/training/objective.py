"""What is minimised. Every objective is ``objective.loss(HeadOutput, labels)``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from stage1_core.config import FrozenModel
from stage1_core.errors import DataError
from stage1_core.model.head import CLASSES, HeadOutput
from stage1_core.predictions import Integer


class Objective(nn.Module, ABC):
    """A loss with, where it needs one, a state of its own; the state travels in checkpoints as its ``state_dict``."""

    @abstractmethod
    def loss(self, output: HeadOutput, labels: Tensor) -> Tensor:
        """Scalar mean loss of a batch; ``output`` is float32, ``labels`` ``(n,)`` int64."""


class CrossEntropy(Objective):
    """Weighted, smoothed cross-entropy of the class logits."""

    class_weights: Tensor

    def __init__(self, class_weights: Tensor, label_smoothing: float) -> None:
        super().__init__()
        self.register_buffer("class_weights", class_weights.float(), persistent=False)
        self.label_smoothing = label_smoothing

    def loss(self, output: HeadOutput, labels: Tensor) -> Tensor:
        """Weighted mean over the batch: divided by the sum of the rows' class weights, as in PyTorch."""
        return nn.functional.cross_entropy(
            output.class_logits, labels, weight=self.class_weights, label_smoothing=self.label_smoothing
        )


class CrossEntropyConfig(FrozenModel):
    """Cross-entropy with class weights N / (C · n_c), so that a rare class counts as much as a common one."""

    kind: Literal["cross_entropy"] = "cross_entropy"
    weight_classes: bool = True
    """Whether classes are weighted; without it every row counts the same."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the target that is spread evenly over both classes."""

    def build(self, class_counts: Integer) -> CrossEntropy:
        """The objective for FIT_WEIGHTS rows with ``(2,)`` ``class_counts``."""
        weights = class_weights(class_counts) if self.weight_classes else np.ones(CLASSES)
        return CrossEntropy(torch.from_numpy(weights), self.label_smoothing)


ObjectiveConfig = CrossEntropyConfig
"""Every objective; `kind` tells them apart."""


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
