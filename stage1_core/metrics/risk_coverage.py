"""Ranking quality of a confidence: how well failures are pushed to the low end."""

from __future__ import annotations

import numpy as np

from stage1_core.predictions import Boolean, Float, Integer


def augrc(confidence: Float, failure: Boolean | Integer) -> float | None:
    """Area under the generalized risk coverage curve, in [0, 0.5]; lower is better; None without rows.

    The mean over failures of the share of rows ranked below them, ties counted half: equal to the trapezoid over one
    point per distinct confidence (Traub et al., arXiv 2407.01032). ``confidence`` and ``failure`` are ``(n,)``.
    """
    n = len(confidence)
    if n == 0:
        return None
    ascending = np.sort(confidence)
    failing = confidence[failure.astype(np.bool_)]
    below = np.searchsorted(ascending, failing, side="left")
    up_to = np.searchsorted(ascending, failing, side="right")
    return float((below.sum() + up_to.sum()) / 2 / n**2)
