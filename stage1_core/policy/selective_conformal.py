"""Selective conformal risk control of the positives: which pictures are selected, which sets they get, and SCRC-T.

Two thresholds: pictures whose selection score reaches lambda1 are selected; a selected picture gets {0}, {1} or {0, 1}
by tau, the others {0, 1} (arXiv 2512.12844). A positive is missed where 1 is not in its set. The promises of this
method are about selected positives and count {0, 1} as right; what exits is certified elsewhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from stage1_core.errors import PolicyError
from stage1_core.metrics.conformal_budget import crc_budget
from stage1_core.predictions import Boolean, Decisions, Float, Integer

LARGEST_TAU = 0.5
"""Here every selected picture exits but for exact ties of the classes."""


@dataclass(frozen=True, slots=True, eq=False)
class SelectiveScores:
    """What is read of ``n`` pictures."""

    selection: Float
    """``(n,)`` any score by which the larger are selected: P(the class decision is right), a confidence, an energy."""
    p1: Float
    """``(n,)`` calibrated P(roadwork)."""

    def __post_init__(self) -> None:
        if self.selection.ndim != 1 or self.selection.shape != self.p1.shape:
            raise PolicyError(
                f"selection scores have shape {self.selection.shape}, p1 {self.p1.shape}; give (n,) of each"
            )
        if not np.isfinite(self.selection).all():
            raise PolicyError("a selection score is not finite; the model is broken, do not use it")
        if not ((self.p1 >= 0) & (self.p1 <= 1)).all():
            raise PolicyError("p1 has entries outside [0, 1]; give probabilities, not logits")

    def __len__(self) -> int:
        return len(self.p1)


def selection_threshold(selection: Float, rate: float) -> float:
    """lambda1: the largest of ``(n,)`` scores that at least the share ``rate`` of them reaches.

    Labels are not looked at. Raises `PolicyError` without scores or for a rate outside (0, 1].
    """
    if len(selection) == 0 or not 0 < rate <= 1:
        raise PolicyError(f"rate {rate} of {len(selection)} scores has no threshold; give scores and a rate in (0, 1]")
    reach = math.ceil(Fraction(str(rate)) * len(selection))
    return float(np.partition(selection, len(selection) - reach)[len(selection) - reach])


def selected_positives(scores: SelectiveScores, labels: Integer, lambda1: float) -> Boolean:
    """``(n,)`` rows with label 1 that are selected. Raises `PolicyError` where the ``(n,)`` labels do not match."""
    if labels.shape != scores.p1.shape:
        raise PolicyError(f"{len(scores)} rows have labels of shape {labels.shape}; give one label for each row")
    selected: Boolean = (scores.selection >= lambda1) & (labels == 1)
    return selected


def set_threshold(p1: Float, budget: int | None) -> float | None:
    """tau: the largest number up to 1/2 that at most ``budget`` of the ``(m,)`` probabilities lie below.

    These are P(roadwork) of the selected calibration positives. Who lies exactly at tau is not missed, so ties at the
    edge of the budget all stay on the safe side. None without a budget.
    """
    if budget is None:
        return None
    if budget >= len(p1):
        return LARGEST_TAU
    return min(LARGEST_TAU, float(np.partition(p1, budget)[budget]))


def conformal_sets(scores: SelectiveScores, lambda1: float, tau: float | None) -> Decisions:
    """{1} where p1 > 1 - tau, {0} where p1 < tau, both only where selection >= lambda1; {0, 1} elsewhere.

    The same as "the likelier class where its probability exceeds lambda2 = 1 - tau". Without tau nothing exits.
    """
    if tau is None:
        return Decisions.of(np.zeros(len(scores), dtype=np.bool_), np.zeros(len(scores), dtype=np.bool_))
    selected: Boolean = scores.selection >= lambda1
    above: Boolean = scores.p1 > 1 - tau
    return Decisions.of(selected & (above | (scores.p1 < tau)), above)


def decide_batch(
    calibration: SelectiveScores, labels: Integer, batch: SelectiveScores, *, selection_rate: float, alpha: float
) -> Decisions:
    """SCRC-T: decisions for a whole batch of ``m`` pictures, with both thresholds made for it.

    In expectation over calibration sets and batches, at most ``alpha`` of the selected positives of the batch are
    missed: exactly so, for every sample size, as long as positives of calibration and batch are exchangeable. lambda1
    lets ``selection_rate`` of calibration and batch together through. It stays the same when a positive of one changes
    places with a positive of the other, so those selected are exchangeable too. Says nothing of exited positives.

    For comparison and offline use. It cannot serve a stream: both thresholds wait for the last picture of the batch and
    change with the next one, and the pictures of one camera and hour are not exchangeable with the calibration rows.
    ``labels`` is ``(n,)``, of the calibration rows. Raises `PolicyError` without rows, where labels do not match them,
    or for an ``alpha`` or a rate that is no fraction.
    """
    lambda1 = selection_threshold(np.concatenate([calibration.selection, batch.selection]), selection_rate)
    p1 = calibration.p1[selected_positives(calibration, labels, lambda1)]
    return conformal_sets(batch, lambda1, set_threshold(p1, crc_budget(len(p1), alpha)))
