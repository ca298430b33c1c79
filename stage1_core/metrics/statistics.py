"""Metrics as functions of row weights: with a row counted w times, what would the metric be?

Each builder looks at its rows once and returns a `Statistic`. With unit weights it equals the plain metric of the same
name; with whole weights it equals the plain metric of the repeated rows, so bootstrap counts can be handed to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import log_softmax, xlog1py

from stage1_core.metrics.calibration_error import bin_of
from stage1_core.metrics.ranking import RankedStatistic, RankedWeights, Ranking
from stage1_core.predictions import Boolean, Float, Integer


class Statistic(Protocol):
    """Maps ``(b, n)`` non-negative row weights to ``(b,)`` values, NaN where the value is undefined."""

    def __call__(self, weights: Float, /) -> Float:
        """The statistic under each row of weights."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class WeightedSums:
    """A function of weighted column sums. `bootstrap` computes the sums of all such statistics in one product."""

    columns: Float
    """``(n, k)``, what each row adds to each sum."""
    of_sums: Callable[[Float], Float]
    """``(b, k)`` sums to ``(b,)`` values."""

    def __call__(self, weights: Float, /) -> Float:
        """``(b, n)`` weights to ``(b,)`` values."""
        return self.of_sums(weights @ self.columns)


@dataclass(frozen=True, slots=True, eq=False)
class Combination:
    """A weighted sum of other statistics. `bootstrap` evaluates each of these once, in however many sums it is."""

    parts: tuple[tuple[float, Statistic], ...]
    """Factors and what they multiply; no part is a combination itself."""

    def __call__(self, weights: Float, /) -> Float:
        """``(b, n)`` weights to ``(b,)`` values, NaN where a part is undefined."""
        return sum((factor * part(weights) for factor, part in self.parts), np.zeros(len(weights)))


def mean_of(values: Float) -> WeightedSums:
    """Mean of ``(n,)`` values."""
    return WeightedSums(np.stack([values, np.ones(len(values))], axis=1), lambda sums: divide(sums[:, 0], sums[:, 1]))


def ratio_of(events: Boolean, trials: Boolean) -> WeightedSums:
    """Share of the ``(n,)`` trials that are events; undefined without trials."""
    columns = np.stack([events & trials, trials], axis=1).astype(np.float64)
    return WeightedSums(columns, lambda sums: divide(sums[:, 0], sums[:, 1]))


def nll_of(logits: Float, labels: Integer) -> WeightedSums:
    """`nll` of ``(n, classes)`` logits."""
    log_probability = log_softmax(logits.astype(np.float64), axis=1)
    return mean_of(-np.take_along_axis(log_probability, labels[:, None], axis=1)[:, 0])


def brier_of(probability: Float, labels: Integer) -> WeightedSums:
    """`brier` of ``(n,)`` probabilities of class 1."""
    return mean_of(np.square(probability - labels))


def balanced_accuracy_of(predicted: Integer, labels: Integer) -> WeightedSums:
    """Mean of the shares of each class that are called right; undefined where a class is missing."""

    def of_sums(sums: Float) -> Float:
        return (divide(sums[:, 0], sums[:, 0] + sums[:, 1]) + divide(sums[:, 3], sums[:, 2] + sums[:, 3])) / 2

    return WeightedSums(_confusion(predicted, labels), of_sums)


def mcc_of(predicted: Integer, labels: Integer) -> WeightedSums:
    """Matthews correlation; 0 where only one class is called, undefined where a class is missing."""

    def of_sums(sums: Float) -> Float:
        true_0, false_1, false_0, true_1 = sums.T
        negatives, positives = true_0 + false_1, false_0 + true_1
        called_0, called_1 = true_0 + false_0, false_1 + true_1
        scale = np.sqrt(negatives * positives) * np.sqrt(called_0 * called_1)
        value = divide(true_1 * true_0 - false_1 * false_0, np.where(scale > 0, scale, 1.0))
        return np.where(negatives * positives > 0, value, np.nan)

    return WeightedSums(_confusion(predicted, labels), of_sums)


def _confusion(predicted: Integer, labels: Integer) -> Float:
    """``(n, 4)`` one-hot: true 0, false 1, false 0, true 1."""
    one_hot: Float = np.eye(4)[2 * labels + predicted]
    return one_hot


def ece_of(confidence: Float, correct: Boolean | Integer, n_bins: int = 10) -> WeightedSums:
    """`ece` of ``(n,)`` confidences in ``n_bins`` right-closed bins."""
    columns = np.zeros((len(confidence), n_bins + 1))
    columns[np.arange(len(confidence)), bin_of(confidence, n_bins)] = confidence - correct.astype(np.float64)
    columns[:, n_bins] = 1.0
    return WeightedSums(columns, lambda sums: divide(np.abs(sums[:, :-1]).sum(axis=1), sums[:, -1]))


def classwise_ece_of(probability: Float, labels: Integer, n_bins: int = 10) -> WeightedSums:
    """`classwise_ece` of ``(n,)`` probabilities of class 1: the mean of the two classes' calibration errors."""
    one, zero = ece_of(probability, labels == 1, n_bins), ece_of(1 - probability, labels == 0, n_bins)
    return WeightedSums(
        np.concatenate([one.columns, zero.columns], axis=1),
        lambda sums: (one.of_sums(sums[:, : n_bins + 1]) + zero.of_sums(sums[:, n_bins + 1 :])) / 2,
    )


def augrc_of(confidence: Float, failure: Boolean | Integer) -> RankedStatistic:
    """`augrc` of ``(n,)`` confidences and failures: what failures have below them is what they do not have above."""

    def of_ranked(ranked: RankedWeights) -> Float:
        return divide(ranked.total * ranked.marked - ranked.above, ranked.total**2)

    return RankedStatistic(Ranking.of(confidence, failure), of_ranked)


def auroc_of(margin: Float, labels: Integer) -> RankedStatistic:
    """Area under the ROC curve of ``(n,)`` margins and 0/1 labels; undefined where a class is missing.

    The share of pairs of a positive and a negative with the negative below, ties counted half. Among themselves the
    positives have half of their squared weight above them.
    """

    def of_ranked(ranked: RankedWeights) -> Float:
        negatives = ranked.total - ranked.marked
        negatives_above = ranked.above - ranked.marked**2 / 2
        return 1 - divide(negatives_above, ranked.marked * negatives)

    return RankedStatistic(Ranking.of(margin, labels), of_ranked)


def average_precision_of(margin: Float, labels: Integer) -> RankedStatistic:
    """Average precision of ``(n,)`` margins and 0/1 labels; undefined without positives.

    The precision down to each distinct margin, weighted by the recall that is gained there.
    """

    def of_ranked(ranked: RankedWeights) -> Float:
        gained = np.diff(ranked.kept_marked, axis=1, prepend=0.0)
        terms = np.multiply(gained, ranked.marked_share, out=np.zeros_like(gained), where=gained > 0)
        return divide(terms.sum(axis=1), ranked.kept_marked[:, -1])

    return RankedStatistic(Ranking.of(margin, labels), of_ranked)


def aurc_of(confidence: Float, failure: Boolean | Integer) -> RankedStatistic:
    """`aurc` of ``(n,)`` confidences and failures."""
    return RankedStatistic(Ranking.of(confidence, failure), _aurc)


def e_aurc_of(confidence: Float, failure: Boolean | Integer) -> RankedStatistic:
    """`e_aurc` of ``(n,)`` confidences and failures: AURC above that of the best ranking of as many failures."""

    def of_ranked(ranked: RankedWeights) -> Float:
        error = divide(ranked.kept_marked[:, -1], ranked.kept[:, -1])
        best: Float = error + xlog1py(1 - error, -error)
        return _aurc(ranked) - best

    return RankedStatistic(Ranking.of(confidence, failure), of_ranked)


def risk_at_coverage_of(confidence: Float, failure: Boolean | Integer, coverage: float) -> RankedStatistic:
    """`risk_at_coverage` of ``(n,)`` confidences and failures at a coverage in (0, 1]."""

    def of_ranked(ranked: RankedWeights) -> Float:
        enough = divide(ranked.kept, ranked.kept[:, -1:]) >= coverage
        return np.take_along_axis(ranked.marked_share, enough.argmax(axis=1)[:, None], axis=1)[:, 0]

    return RankedStatistic(Ranking.of(confidence, failure), of_ranked)


def coverage_at_risk_of(confidence: Float, failure: Boolean | Integer, max_risk: float) -> RankedStatistic:
    """`coverage_at_risk` of ``(n,)`` confidences and failures at a ceiling in [0, 1]."""

    def of_ranked(ranked: RankedWeights) -> Float:
        allowed = np.where(ranked.marked_share <= max_risk, ranked.kept, 0.0)
        return divide(allowed.max(axis=1), ranked.kept[:, -1])

    return RankedStatistic(Ranking.of(confidence, failure), of_ranked)


def difference_of(minuend: Statistic, subtrahend: Statistic) -> Statistic:
    """The difference of two statistics of the same rows: both are evaluated on the same resamples."""
    return lambda weights, /: minuend(weights) - subtrahend(weights)


def _aurc(ranked: RankedWeights) -> Float:
    """Trapezoids over the coverage; where nothing was kept yet, the curve starts with the risk of the first rows."""
    risk = ranked.marked_share
    before = np.concatenate([risk[:, :1], risk[:, :-1]], axis=1)
    before = np.where(np.isnan(before), risk, before)
    steps = np.diff(ranked.kept, axis=1, prepend=0.0)
    areas = np.multiply(steps, (risk + before) / 2, out=np.zeros_like(steps), where=steps > 0)
    return divide(areas.sum(axis=1), ranked.kept[:, -1])


def divide(numerator: Float, denominator: Float) -> Float:
    """The ratio, NaN where the denominator is 0."""
    shape = np.broadcast_shapes(numerator.shape, denominator.shape)
    ratio: Float = np.divide(numerator, denominator, out=np.full(shape, np.nan), where=denominator > 0)
    return ratio
