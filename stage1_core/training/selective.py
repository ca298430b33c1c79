"""A gate that learns what to let through: SelectiveNet with a ceiling on the missed positives among what passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from stage1_core.config import FrozenModel
from stage1_core.model.head import HeadOutput
from stage1_core.predictions import Integer
from stage1_core.training.cross_entropy import CrossEntropy, CrossEntropyConfig
from stage1_core.training.targets import Objective, Targets

_LEAST_OPENING = 1e-6
"""Of a whole batch: keeps the quotients finite where a gate shuts completely."""


class SelectiveConfig(FrozenModel):
    """SelectiveNet (Geifman and El-Yaniv, arXiv 1901.09192), with the false negative rate as an inequality constraint.

    In each batch, with g the gate's probability, ℓ the cross-entropy of a row and P the positives:

        L = a · (Σ g ℓ / Σ g + λ max(0, c₀ - mean g)² + A) + (1 - a) · mean ℓ of the auxiliary output
        A = (max(0, μ + ρ c)² - μ²) / 2ρ,   c = Σ_P g (1 - p₁) / Σ_P g - α

    and after each epoch μ <- max(0, μ + ρ · mean c): an augmented Lagrangian of "the soft FNR among what passes is at
    most α". During the warm-up L is the cross-entropy of both outputs, and the gate is not fitted. The ceiling steers
    the training and promises nothing; a policy is certified afterwards, on other rows.

    The floor c₀ keeps the gate from shutting. A reward for coverage does not replace it: it is cheapest to open the
    gate for everything and to call nearly everything positive.
    """

    kind: Literal["selective"] = "selective"
    classes: CrossEntropyConfig = CrossEntropyConfig()
    """How rows are weighted and smoothed, for both outputs."""
    selective_share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """a: share of the loss that goes through the gate; the rest is the auxiliary output's."""
    coverage_floor: Annotated[float, Field(gt=0, le=1)] = 0.7
    """c₀: mean opening of the gate, as a fraction, below which the loss grows; no coverage that anything promises."""
    coverage_weight: Annotated[float, Field(ge=0, le=10000)] = 32.0
    """λ."""
    train_max_fnr: Annotated[float, Field(gt=0, lt=1)] = 0.01
    """α: ceiling of the soft FNR, as a fraction; stricter than the promise, because the certificate costs a margin."""
    multiplier_rate: Annotated[float, Field(gt=0, le=10000)] = 20.0
    """ρ."""
    warmup_epochs: Annotated[int, Field(ge=0, le=10000)] = 5
    """Epochs before the gate is fitted."""
    detach_classifier: bool = True
    """Whether the constraint acts on the gate alone. Otherwise the classes learn to satisfy it by false alarms."""

    @property
    def held_out_folds(self) -> int:
        """0: no answers of other models are needed."""
        return 0

    def build(self, class_counts: Integer) -> Selective:
        """The objective for FIT_WEIGHTS rows with ``(2,)`` ``class_counts``."""
        return Selective(self, self.classes.build(class_counts))


class Selective(Objective):
    """The loss of `SelectiveConfig`, with the multiplier, the epochs made and the sums of the current one."""

    multiplier: Tensor
    epochs: Tensor
    seen: Tensor

    def __init__(self, config: SelectiveConfig, cross_entropy: CrossEntropy) -> None:
        super().__init__()
        self.config = config
        self.cross_entropy = cross_entropy
        self.register_buffer("multiplier", torch.zeros(()))
        self.register_buffer("epochs", torch.zeros((), dtype=torch.int64))
        self.register_buffer("seen", torch.zeros(2))  # sum of c over positives, positives

    def loss(self, output: HeadOutput, targets: Targets) -> Tensor:
        """Scalar loss of a batch; a batch without positives has no constraint. `ModelError` for a head without gate."""
        gate, auxiliary_logits = output.gated()
        share, auxiliary = self.config.selective_share, self.cross_entropy.of(auxiliary_logits, targets.labels)
        if int(self.epochs) < self.config.warmup_epochs:
            classes = self.cross_entropy.of(output.class_logits, targets.labels)
            return share * classes + (1 - share) * auxiliary
        opening = gate.sigmoid()
        losses, weights = self.cross_entropy.of_each_row(output.class_logits, targets.labels)
        risk = (opening * losses).sum() / (opening * weights).sum().clamp_min(_LEAST_OPENING)
        shortfall = (self.config.coverage_floor - opening.mean()).clamp_min(0)
        through_the_gate = risk + self.config.coverage_weight * shortfall.square()
        constraint = self._constraint(output.class_logits, opening, targets.labels == 1)
        return share * (through_the_gate + constraint) + (1 - share) * auxiliary

    def end_epoch(self, sum_over_processes: Callable[[Tensor], Tensor]) -> None:
        """Move the multiplier by the mean excess of the epoch, in which each batch counts by its positives."""
        excess, positives = sum_over_processes(self.seen).tolist()
        if positives:
            moved = float(self.multiplier) + self.config.multiplier_rate * excess / positives
            self.multiplier.fill_(max(0.0, moved))
        self.seen.zero_()
        self.epochs += 1

    def _constraint(self, class_logits: Tensor, opening: Tensor, positive: Tensor) -> Tensor:
        """The augmented Lagrangian of a batch, 0 where it has no positives."""
        miss = class_logits.softmax(1)[:, 0]
        if self.config.detach_classifier:
            miss = miss.detach()
        opening = opening * positive
        excess = (opening * miss).sum() / opening.sum().clamp_min(_LEAST_OPENING) - self.config.train_max_fnr
        positives = positive.sum().float()
        if self.training:
            self.seen += torch.stack([excess.detach() * positives, positives])
        return augmented_lagrangian(excess, self.multiplier, self.config.multiplier_rate) * (positives > 0)


def augmented_lagrangian(excess: Tensor, multiplier: Tensor, rate: float) -> Tensor:
    """(max(0, μ + ρ c)² - μ²) / 2ρ of an inequality c <= 0; its derivative is max(0, μ + ρ c) (Rockafellar, 1973)."""
    return ((multiplier + rate * excess).clamp_min(0).square() - multiplier**2) / (2 * rate)
