"""Proper scores of probabilities: negative log-likelihood and Brier score."""

from __future__ import annotations

import numpy as np
from scipy.special import log_softmax

from stage1_core.predictions import Float, Integer


def nll(logits: Float, labels: Integer) -> float | None:
    """Mean negative log-likelihood of ``(n,)`` labels under ``(n, classes)`` logits, natural logarithm.

    Exact through the log-softmax: a confident mistake counts in full, where clipped probabilities would hide it.
    None without rows.
    """
    if len(labels) == 0:
        return None
    log_probability = log_softmax(logits.astype(np.float64), axis=1)
    return float(-np.take_along_axis(log_probability, labels[:, None], axis=1).mean())


def brier(probability: Float, labels: Integer) -> float | None:
    """Mean of (p₁ - y)², the binary form, in [0, 1]; half of the sum over both classes. None without rows.

    ``probability`` is ``(n,)``, P(y = 1); ``labels`` ``(n,)`` 0/1.
    """
    if len(labels) == 0:
        return None
    return float(np.square(probability - labels).mean())
