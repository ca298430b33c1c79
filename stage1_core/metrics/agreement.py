"""Evidence that the reported numbers are right: computed again in another way, and held against each other."""

from __future__ import annotations

from itertools import groupby, pairwise
from math import sqrt

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics import brier_score_loss, roc_auc_score

from stage1_core.acceptance import Direction, ValueCheck
from stage1_core.metrics.risk_coverage import augrc_bounds, aurc_bounds, best_aurc
from stage1_core.metrics.suite import ModelQuality, Reading, model_quality, read
from stage1_core.predictions import Integer, Predictions

TOLERANCE = 1e-9
"""Largest difference between two computations of one number: rounding stays far below it, mistakes far above."""


def cross_checks(rows: Predictions) -> tuple[ValueCheck, ...]:
    """Each important number of ``rows`` against an independent computation; the value is the absolute difference.

    A number that both computations leave undefined is an agreement, one that only one of them defines is undecided,
    and without rows everything is.
    """
    reported, seen, labels, n = model_quality(rows), read(rows), rows.labels, len(rows)
    true_0, false_1, false_0, true_1 = _confusion(seen.predicted, labels)
    return (
        _agreement(
            "accuracy agrees with the confusion counts", reported.accuracy, (true_0 + true_1) / n if n else None, n
        ),
        _agreement("MCC agrees with the confusion counts", reported.mcc, _mcc(true_0, false_1, false_0, true_1), n),
        _agreement("AUROC agrees with the sum of ranks", reported.auroc, _auroc_by_ranks(seen, labels), n),
        _agreement("NLL agrees with log(1 + exp) of the margins", reported.nll, _nll_by_margins(seen, labels), n),
        _agreement("Brier score agrees with scikit-learn", reported.brier, _brier_by_sklearn(seen, labels), n),
        _agreement("ECE agrees with a loop over bins", reported.ece, _ece_by_loop(seen), n),
        _agreement("AURC agrees with a loop over tie blocks", reported.aurc, _aurc_by_loop(seen), n),
        _agreement("AUGRC agrees with the AUROC identity", reported.augrc, _augrc_by_auroc(seen), n),
    )


def range_checks(quality: ModelQuality) -> tuple[ValueCheck, ...]:
    """Whether the numbers of ``quality`` can be true together: the ranges that they give each other.

    The accuracy bounds AUGRC and E-AURC. A wrong call has a squared error of at least 1/4, so the Brier score is at
    least a quarter of the error rate; and -ln p ≥ 1 - p ≥ (1 - p)² puts the NLL above the Brier score. The range that
    a number has by itself is that of its field.
    """
    # Without rows every value is None, and undecided whatever the bound.
    error = 0.0 if quality.accuracy is None else 1 - quality.accuracy
    brier = 0.0 if quality.brier is None else quality.brier
    best_augrc, worst_augrc = augrc_bounds(error)
    least_aurc, largest_aurc = aurc_bounds(error)

    def check(name: str, value: float | None, direction: Direction, bound: float) -> ValueCheck:
        slack = TOLERANCE if direction is Direction.AT_MOST else -TOLERANCE
        return ValueCheck(name=name, value=value, bound=bound + slack, direction=direction, trials=quality.rows)

    least, most = Direction.AT_LEAST, Direction.AT_MOST
    return (
        check("AUGRC against the best ranking at this accuracy", quality.augrc, least, best_augrc),
        check("AUGRC against the worst ranking at this accuracy", quality.augrc, most, worst_augrc),
        check("E-AURC against the best ranking at this accuracy", quality.e_aurc, least, least_aurc - best_aurc(error)),
        check(
            "E-AURC against the worst ranking at this accuracy", quality.e_aurc, most, largest_aurc - best_aurc(error)
        ),
        check("Brier score against a quarter of the error rate", quality.brier, least, error / 4),
        check("NLL against the Brier score", quality.nll, least, brier),
    )


def _agreement(name: str, reported: float | None, again: float | None, rows: int) -> ValueCheck:
    """The check that two computations of one number differ by no more than rounding."""
    if reported is None and again is None:
        difference: float | None = 0.0
    else:
        difference = None if reported is None or again is None else abs(reported - again)
    return ValueCheck(name=name, value=difference, bound=TOLERANCE, direction=Direction.AT_MOST, trials=rows)


def _confusion(predicted: Integer, labels: Integer) -> tuple[int, int, int, int]:
    """Rows that are true 0, false 1, false 0 and true 1, as whole numbers without limit."""
    true_0, false_1, false_0, true_1 = np.bincount(2 * labels + predicted, minlength=4).tolist()
    return true_0, false_1, false_0, true_1


def _mcc(true_0: int, false_1: int, false_0: int, true_1: int) -> float | None:
    """Matthews' correlation of the counts, 0 where one class is called only, None where one is missing."""
    negatives, positives, called_0, called_1 = true_0 + false_1, false_0 + true_1, true_0 + false_0, false_1 + true_1
    if not negatives or not positives:
        return None
    if not called_0 or not called_1:
        return 0.0
    return (true_1 * true_0 - false_1 * false_0) / sqrt(negatives * positives * called_0 * called_1)


def _auroc_by_ranks(seen: Reading, labels: Integer) -> float | None:
    """The Mann-Whitney statistic of the margins, as a share of the pairs of a positive and a negative."""
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if not negatives or not positives:
        return None
    ranks = float(rankdata(seen.margin_logits)[labels == 1].sum())
    return (ranks - positives * (positives + 1) / 2) / (positives * negatives)


def _nll_by_margins(seen: Reading, labels: Integer) -> float | None:
    """Mean of log(1 + exp(-m)), m being the margin towards the true class."""
    if len(labels) == 0:
        return None
    towards_truth = np.where(labels == 1, seen.margin_logits, -seen.margin_logits)
    return float(np.logaddexp(0.0, -towards_truth).mean())


def _brier_by_sklearn(seen: Reading, labels: Integer) -> float | None:
    return float(brier_score_loss(labels, seen.probability, pos_label=1)) if len(labels) else None


def _ece_by_loop(seen: Reading) -> float | None:
    """Ten bins one after the other, each with its own mean confidence and accuracy."""
    if len(seen.confidence) == 0:
        return None
    total = 0.0
    for low, high in pairwise(np.linspace(0, 1, 11)):
        inside = (seen.confidence > low) & (seen.confidence <= high)
        if inside.any():
            total += float(inside.mean()) * abs(
                float(seen.confidence[inside].mean()) - float(seen.correct[inside].mean())
            )
    return total


def _aurc_by_loop(seen: Reading) -> float | None:
    """Keep one tie block after the other and add up the trapezoids."""
    area, kept, wrong, risk_before = 0.0, 0, 0, None
    ranked = sorted(zip(seen.confidence.tolist(), seen.correct.tolist(), strict=True), reverse=True)
    for _, block in groupby(ranked, key=lambda row: row[0]):
        correct = [is_correct for _, is_correct in block]
        kept, wrong = kept + len(correct), wrong + correct.count(False)
        risk = wrong / kept
        area += len(correct) * (risk + (risk if risk_before is None else risk_before)) / 2
        risk_before = risk
    return area / kept if kept else None


def _augrc_by_auroc(seen: Reading) -> float | None:
    """(1 - AUROC) · acc · (1 - acc) + (1 - acc)² / 2, with the AUROC of telling right from wrong calls."""
    if len(seen.correct) == 0:
        return None
    accuracy = float(seen.correct.mean())
    if accuracy in (0.0, 1.0):
        return (1 - accuracy) ** 2 / 2
    auroc = float(roc_auc_score(seen.correct, seen.confidence))
    return (1 - auroc) * accuracy * (1 - accuracy) + (1 - accuracy) ** 2 / 2
