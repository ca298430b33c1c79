"""Expected calibration error, of the likelier class and of each class.

Bins are of equal width and right-closed ``(lo, hi]``; a probability of exactly 0 falls in the first. A perfectly
calibrated model has an ECE above 0, the more so the fewer its rows, so models are compared on the same rows.
"""

from __future__ import annotations

import numpy as np

from stage1_core.errors import Stage1Error
from stage1_core.predictions import Boolean, Float, Integer


def ece(confidence: Float, correct: Boolean | Integer, n_bins: int = 10) -> float | None:
    """Top-label ECE: mean of |confidence - accuracy| over equal-width bins, weighted by their rows.

    ``confidence`` is ``(n,)`` in [0, 1], ``correct`` ``(n,)`` 0/1. A fraction; None without rows.
    """
    return None if len(confidence) == 0 else _mean_gap(confidence, correct, n_bins)


def classwise_ece(probability: Float, labels: Integer, n_bins: int = 10) -> float | None:
    """Mean over both classes k of the ECE of P(y = k) against y = k (Kull et al., arXiv 1910.12656).

    ``probability`` is ``(n,)``, P(y = 1), or ``(n, 2)``; ``labels`` ``(n,)`` 0/1. A fraction; None without rows. The
    two classes mirror each other and differ only where a probability lies on the edge of a bin. Raises `Stage1Error`
    for other shapes.
    """
    if probability.shape not in ((len(labels),), (len(labels), 2)):
        raise Stage1Error(f"probabilities of shape {probability.shape} for {len(labels)} labels; give (n,) or (n, 2)")
    if len(labels) == 0:
        return None
    of_0, of_1 = (1 - probability, probability) if probability.ndim == 1 else probability.T
    return (_mean_gap(of_0, labels == 0, n_bins) + _mean_gap(of_1, labels == 1, n_bins)) / 2


def bin_of(probability: Float, n_bins: int) -> Integer:
    """``(n,)`` index of the right-closed bin of each ``(n,)`` probability, 0 to ``n_bins`` - 1."""
    edges = np.linspace(0.0, 1.0, n_bins + 1)
    bins: Integer = np.clip(np.searchsorted(edges, probability, side="left") - 1, 0, n_bins - 1)
    return bins


def _mean_gap(probability: Float, happened: Boolean | Integer, n_bins: int) -> float:
    """Mean over at least one row of |mean probability - share that happened| of the row's bin."""
    gap = np.bincount(bin_of(probability, n_bins), weights=probability - happened.astype(np.float64), minlength=n_bins)
    return float(np.abs(gap).sum() / len(probability))
