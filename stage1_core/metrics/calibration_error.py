"""Expected calibration error."""

from __future__ import annotations

import numpy as np

from stage1_core.predictions import Boolean, Float, Integer


def ece(confidence: Float, correct: Boolean | Integer, n_bins: int = 10) -> float | None:
    """Top-label ECE: mean of |confidence - accuracy| over equal-width bins, weighted by their rows.

    ``confidence`` is ``(n,)`` in [0, 1], ``correct`` ``(n,)`` 0/1. Bins are right-closed ``(lo, hi]``, the convention
    of the historical trainer; a confidence of exactly 0 falls in the first bin. None without rows.
    """
    if len(confidence) == 0:
        return None
    edges = np.linspace(0.0, 1.0, n_bins + 1)
    bins = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, n_bins - 1)
    gap = np.bincount(bins, weights=confidence - correct.astype(np.float64), minlength=n_bins)
    return float(np.abs(gap).sum() / len(confidence))
