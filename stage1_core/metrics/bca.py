"""Bias-corrected and accelerated bootstrap intervals (Efron, 1987)."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, ndtri

from stage1_core.predictions import Float, Integer


def bca_shares(value: float, draws: Float, acceleration: float, tails: Float) -> Float | None:
    """Shares of the ``(resamples,)`` draws at which the ends of the interval lie, in place of the ``tails``.

    ``value`` is the statistic of the sample. Draws equal to it count half as below. None where the correction is
    undefined: all draws on one side of the value, or a tail beyond the pole.
    """
    below = (np.count_nonzero(draws < value) + np.count_nonzero(draws == value) / 2) / len(draws)
    if not 0 < below < 1:
        return None
    z = ndtri(below) + ndtri(tails)
    if (acceleration * z >= 1).any():
        return None
    shares: Float = ndtr(ndtri(below) + z / (1 - acceleration * z))
    return shares


def acceleration(left_out: Float, strata: Integer) -> float | None:
    """A sixth of the skewness of the statistic, from a jackknife over random blocks of clusters.

    ``left_out`` is ``(blocks,)``, the statistic of the sample without each block, and ``strata`` ``(blocks,)`` the
    stratum of each block. None where the statistic is undefined without some block, or the same without any.

    To first order a statistic of n clusters is a constant plus the sum of influences x_i / n, and the x_i of a stratum
    sum to 0. So its skewness under resampling is Σ x_i³ / (Σ x_i²)^1.5, and leaving out a block moves it by minus the
    block's sum of x_i / n; the change of the stratum's share is the same for all its blocks, and centring removes it.

    Blocks keep the moments. In a random division into m equal blocks two given clusters share one with a probability
    of about 1/m, and three with 1/m². Over distinct clusters Σ x_i x_j = -Σ x_i², Σ x_i² x_j = -Σ x_i³ and
    Σ x_i x_j x_k = 2 Σ x_i³, so that the squared block sums add up to (1 - 1/m) Σ x_i² in expectation, and the cubed
    ones to (1 - 1/m)(1 - 2/m) Σ x_i³. Their quotient is skewness / (6 sqrt n) in the usual notation whatever the size
    of the blocks, but for a share of 3/(2m) of itself and a standard error of about 0.4/m. Strata are independent, so
    their moments add up.
    """
    moved = np.empty(len(left_out))
    for stratum in np.unique(strata):
        here = strata == stratum
        moved[here] = left_out[here].mean() - left_out[here]
    spread = float(np.square(moved).sum())
    return float((moved**3).sum() / (6 * spread**1.5)) if spread > 0 else None  # nor is NaN above 0
