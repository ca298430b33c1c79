"""Training through the exit threshold: what exits rightly when a share of the positives sets how strict one must be."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from stage1_core.config import FrozenModel
from stage1_core.errors import DataError
from stage1_core.metrics.conformal_budget import crc_budget, rows_needed
from stage1_core.model.head import HeadOutput
from stage1_core.predictions import Integer
from stage1_core.training.correctness_gate import CorrectnessGateConfig
from stage1_core.training.cross_entropy import CrossEntropyConfig
from stage1_core.training.targets import Objective, Targets

Weight = Annotated[float, Field(ge=0, le=100)]


class ConformalRiskConfig(FrozenModel):
    """Conformal risk training (Yeh et al., arXiv 2510.08748) for a picture that exits to 0 or to 1, or stays.

    With d = l₁ - l₀ the margin of a row and P, N the positives and negatives of a batch, every other positive sets the
    threshold, and the rest says how much exits at it. Batches are shuffled anew in each epoch, so that each positive is
    on either side in turn:

        u = -d over the calibration positives,   k = floor(α (n + 1) - 1)
        t = max(0, the (k + 1)-th largest u)

    At t at most k of the n are missed, which is called 0 with d < -t. A row exits as it does under a softmax policy, by
    one threshold for both classes: to 0 where d < -t, to 1 where d > t. Being called by the wrong class is no coverage:

        R = share of P that exits to 1, of N that exits to 0     F = share of N that exits to 1
        L = base + w (1 - R + v F),   each "exits" as σ((±d - t) / T), R with each class by its share of the batch

    The gradient flows through t as well: to gain, a row may move, or the positives that hold the threshold up. Without
    F it would be cheapest to raise the margin of every row alike: the threshold falls along, nothing that exits to 0
    changes, and more exits to 1, false alarms among it.

    α limits P(exits to 0 given y = 1), not the FNR among what exits, and it is counted on rows that weights are fitted
    to, on a threshold that is never deployed. It steers the training and promises nothing; a policy is certified
    afterwards, on other rows.
    """

    kind: Literal["conformal_risk"] = "conformal_risk"
    base: Annotated[CrossEntropyConfig | CorrectnessGateConfig, Field(discriminator="kind")] = CrossEntropyConfig()
    """What is minimised besides: the classes, and the gate where there is one. It also fixes the logits' scale."""
    weight: Weight = 3.0
    """w, relative to the base."""
    false_alarm_weight: Weight = 2.0
    """v, relative to the coverage."""
    train_max_fnr: Annotated[float, Field(gt=0, lt=1)] = 0.02
    """α: share of the positives that may exit to 0, as a fraction."""
    temperature: Annotated[float, Field(gt=0, le=100)] = 0.5
    """T, in logits: how far from the threshold an exit counts by halves."""
    calibration_rows: Annotated[int, Field(ge=1, le=65536)] = 100
    """Positives that set a threshold, at least. What a batch lacks is filled up from a queue of that length, with the
    newest scores of positives of the batches before; they are as old as the steps it takes to see so many positives,
    and no gradient reaches the weights through them. A queue that is longer than an epoch has positives holds some of
    them twice."""
    neighbour_share: Annotated[float, Field(ge=0, lt=0.5)] = 0.0025
    """t is the mean over this share of the scores, rounded up, on each side of the (k + 1)-th, as far as there are as
    many on both: less variance, and more than one row that can move it. 0 takes the one score alone."""
    warmup_epochs: Annotated[int, Field(ge=0, le=10000)] = 5
    """Epochs of the base alone."""

    @model_validator(mode="after")
    def _the_queue_is_long_enough(self) -> Self:
        needed = rows_needed(self.train_max_fnr)
        if self.calibration_rows < needed:
            raise ValueError(
                f"calibration_rows is {self.calibration_rows}, and no threshold for train_max_fnr {self.train_max_fnr} "
                f"can be set by fewer than {needed} positives; raise one of the two"
            )
        return self

    @property
    def classes(self) -> CrossEntropyConfig:
        """How the class logits are fitted where only they are: `base`'s."""
        return self.base.classes

    @property
    def held_out_folds(self) -> int:
        """`base`'s."""
        return self.base.held_out_folds

    def build(self, class_counts: Integer) -> ConformalRisk:
        """The objective for FIT_WEIGHTS rows with ``(2,)`` ``class_counts``. `DataError` with too few positives."""
        _require_enough(int(class_counts[1]), self.train_max_fnr)
        return ConformalRisk(self, self.base.build(class_counts))


class ConformalRisk(Objective):
    """The loss of `ConformalRiskConfig`, with the queue, the epochs made and the batches of the current one.

    Where several processes share a batch, each splits and calibrates its part, and has a queue of its own.
    """

    queue: Tensor
    queued: Tensor
    epochs: Tensor
    seen: Tensor

    def __init__(self, config: ConformalRiskConfig, base: Objective) -> None:
        super().__init__()
        self.config = config
        self.base = base
        self.needed = rows_needed(config.train_max_fnr)
        self.register_buffer("queue", torch.zeros(config.calibration_rows))  # the newest first
        self.register_buffer("queued", torch.zeros((), dtype=torch.int64))
        self.register_buffer("epochs", torch.zeros((), dtype=torch.int64))
        self.register_buffer("seen", torch.zeros(2))  # batches after the warm-up, those with a threshold

    def loss(self, output: HeadOutput, targets: Targets) -> Tensor:
        """Scalar loss of a batch: the base's alone in the warm-up, and where too few positives are known as yet.

        Validation has no warm-up, so that its losses compare over the epochs.
        """
        base = self.base.loss(output, targets)
        margins = output.class_logits[:, 1] - output.class_logits[:, 0]
        positives, negatives = margins[targets.labels == 1], margins[targets.labels == 0]
        scores = self._completed(-positives[::2])
        is_warm = not self.training or int(self.epochs) >= self.config.warmup_epochs
        has_threshold = len(scores) >= self.needed
        if self.training:
            self._remember(-positives.detach())
            self.seen += self.seen.new_tensor([is_warm, is_warm and has_threshold])
        if not (is_warm and has_threshold):
            return base
        threshold = miss_threshold(scores, self.config.train_max_fnr, self.config.neighbour_share).clamp_min(0)
        share = len(positives) / len(margins)
        covered = share * self._exits(positives[1::2], threshold) + (1 - share) * self._exits(-negatives, threshold)
        false_alarms = self._exits(negatives, threshold)
        return base + self.config.weight * (1 - covered + self.config.false_alarm_weight * false_alarms)

    def end_epoch(self, sum_over_processes: Callable[[Tensor], Tensor]) -> None:
        """Go on. `DataError` after an epoch in which no batch had a threshold: it would be the base under this name."""
        batches, with_threshold = sum_over_processes(self.seen).tolist()
        if batches and not with_threshold:
            raise DataError(
                f"no batch of an epoch had the {self.needed} positives, its own and queued ones, that a threshold for "
                f"train_max_fnr {self.config.train_max_fnr} takes; use larger batch.sizes or a higher train_max_fnr"
            )
        self.seen.zero_()
        self.epochs += 1
        self.base.end_epoch(sum_over_processes)

    def _completed(self, scores: Tensor) -> Tensor:
        """``scores``, filled up from the queue to `calibration_rows` of them, as far as it goes."""
        lacking = max(0, self.config.calibration_rows - len(scores))
        return torch.cat([scores, self.queue[: min(lacking, int(self.queued))]])

    def _remember(self, scores: Tensor) -> None:
        self.queue.copy_(torch.cat([scores, self.queue])[: len(self.queue)])
        self.queued.add_(len(scores)).clamp_(max=len(self.queue))

    def _exits(self, margins: Tensor, threshold: Tensor) -> Tensor:
        """Soft share of rows with a margin above the threshold; 0 of none."""
        return ((margins - threshold) / self.config.temperature).sigmoid().sum() / max(1, len(margins))


def miss_threshold(scores: Tensor, max_fnr: float, neighbour_share: float = 0.0) -> Tensor:
    """The least strict threshold for which conformal risk control allows the share of ``(n,)`` ``scores`` above it.

    ``scores`` are those of calibration positives, the higher the likelier to be missed. The result is the (k + 1)-th
    largest of them, or the mean of it and ceil(n · ``neighbour_share``) on each side, as far as there are as many on
    both; gradients flow to these scores alone. Raises `DataError` for fewer than ceil(1 / ``max_fnr``) - 1 scores.
    """
    _require_enough(len(scores), max_fnr)
    place = crc_budget(len(scores), max_fnr)
    assert place is not None
    around = min(math.ceil(neighbour_share * len(scores)), place, len(scores) - 1 - place)
    order = scores.detach().argsort(descending=True, stable=True)
    return scores[order[place - around : place + around + 1]].mean()


def _require_enough(positives: int, max_fnr: float) -> None:
    needed = rows_needed(max_fnr)
    if positives < needed:
        raise DataError(
            f"{positives} positives cannot set a threshold that misses at most {max_fnr} of them, it takes {needed}; "
            "use more positives, larger batch.sizes or a higher train_max_fnr"
        )
