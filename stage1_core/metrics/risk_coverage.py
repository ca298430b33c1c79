"""Ranking quality of a confidence: how well failures are pushed to the low end.

Rows are kept from the most confident down, and rows of equal confidence are kept or left together. Selective risk is
the share of failures among the kept rows, generalized risk the share of rows that are kept failures. Everywhere
``confidence`` is ``(n,)``, higher is surer, and only its order counts; ``failure`` is ``(n,)`` 0/1.
"""

from __future__ import annotations

import numpy as np
from scipy.special import xlog1py

from stage1_core.errors import Stage1Error
from stage1_core.predictions import Boolean, Float, Integer


def augrc(confidence: Float, failure: Boolean | Integer) -> float | None:
    """Area under the generalized risk coverage curve, in [0, 0.5]; lower is better; None without rows.

    The mean over failures of the share of rows ranked below them, ties counted half: equal to the trapezoid over one
    point per distinct confidence (Traub et al., arXiv 2407.01032). Among themselves F failures have F²/2 below.
    """
    n = len(confidence)
    if n == 0:
        return None
    failed = failure.astype(np.bool_)
    failing = np.sort(confidence[failed])
    return float((len(failing) ** 2 / 2 + _failures_above(confidence[~failed], failing)) / n**2)


def aurc(confidence: Float, failure: Boolean | Integer) -> float | None:
    """Area under the selective risk coverage curve, in [0, 1]; lower is better; None without rows.

    The trapezoid over one point per distinct confidence. At coverage 0, where selective risk is undefined, the curve
    starts with the risk of the most confident rows, as in Traub et al., arXiv 2407.01032.
    """
    if len(confidence) == 0:
        return None
    kept, failures = _kept_from_the_top(confidence, failure)
    selective = failures / kept
    return float(np.trapezoid(np.append(selective[0], selective), np.append(0.0, kept / len(confidence))))


def e_aurc(confidence: Float, failure: Boolean | Integer) -> float | None:
    """AURC above that of the best ranking of as many failures, e + (1 - e) ln(1 - e) for the error rate e.

    None without rows. The best ranking is taken in the limit of many rows, so few rows or large tie blocks can lie a
    little below it, down to e²/2 - e - (1 - e) ln(1 - e) (Geifman et al., arXiv 1805.08206).
    """
    area = aurc(confidence, failure)
    return None if area is None else area - best_aurc(float(failure.astype(np.bool_).mean()))


def risk_at_coverage(confidence: Float, failure: Boolean | Integer, coverage: float) -> float | None:
    """Selective risk of the fewest most confident rows, in whole tie blocks, that make up at least ``coverage``.

    ``coverage`` is a fraction in (0, 1]. None without rows. Raises `Stage1Error` for any other coverage.
    """
    if not 0 < coverage <= 1:
        raise Stage1Error(f"a coverage of {coverage} cannot be kept; give a fraction above 0 and at most 1")
    n = len(confidence)
    if n == 0:
        return None
    kept, failures = _kept_from_the_top(confidence, failure)
    # The quotients are compared: 55 / 100 is the float 0.55, while 0.55 * 100 is above 55 and would ask for 56 rows.
    block = int(np.searchsorted(kept / n, coverage, side="left"))
    return float(failures[block] / kept[block])


def coverage_at_risk(confidence: Float, failure: Boolean | Integer, max_risk: float) -> float | None:
    """Largest share of rows, kept from the top in whole tie blocks, whose selective risk is at most ``max_risk``.

    A fraction; 0 means that nothing may be kept: already the most confident block, and every larger prefix, breaks the
    ceiling. ``max_risk`` is a fraction in [0, 1]. None without rows. Raises `Stage1Error` for any other ceiling. An
    empirical number: a policy is certified, never chosen by it.
    """
    if not 0 <= max_risk <= 1:
        raise Stage1Error(f"a risk of {max_risk} is impossible; give a ceiling as a fraction from 0 to 1")
    n = len(confidence)
    if n == 0:
        return None
    kept, failures = _kept_from_the_top(confidence, failure)
    allowed = kept[failures / kept <= max_risk]
    return float(allowed[-1] / n) if len(allowed) else 0.0


def risk_coverage_curve(confidence: Float, failure: Boolean | Integer) -> tuple[Float, Float]:
    """``(k + 1,)`` coverage and generalized risk, from nothing kept to everything kept.

    One point for each of the k distinct confidences. Selective risk is the quotient of the two. The trapezoid under the
    curve is AUGRC.
    """
    n = len(confidence)
    kept, failures = _kept_from_the_top(confidence, failure)
    return np.append(0.0, kept / n), np.append(0.0, failures / n)


def best_aurc(error: float) -> float:
    """AURC of many rows of which the fraction ``error`` fails, all failures ranked last (arXiv 1805.08206)."""
    return float(error + xlog1py(1 - error, -error))


def aurc_bounds(error: float) -> tuple[float, float]:
    """Least and largest AURC of any ranking of rows of which the fraction ``error`` fails: e²/2 and e + (1 - e²)/2.

    Both are reached by two tie blocks, all failures in the lower or all in the upper one. In between, the points of a
    curve lie on or above max(0, c - 1 + e) and on or below min(1, 1 + e - c) at coverage c; the first is convex and the
    second concave, so the straight pieces between the points stay there. Without failures, and with failures only,
    every ranking has the AURC e.
    """
    return (error**2 / 2, error + (1 - error**2) / 2) if 0 < error < 1 else (error, error)


def augrc_bounds(error: float) -> tuple[float, float]:
    """Least and largest AUGRC of any ranking of rows of which the fraction ``error`` fails: e²/2 and e - e²/2."""
    return error**2 / 2, error - error**2 / 2


def _kept_from_the_top(confidence: Float, failure: Boolean | Integer) -> tuple[Integer, Integer]:
    """``(k,)`` rows kept and failures kept at each of the k distinct confidences, from the highest down."""
    levels, rows = np.unique(confidence, return_counts=True)
    failing = np.sort(confidence[failure.astype(np.bool_)])
    failures = len(failing) - np.searchsorted(failing, levels[::-1], side="left")
    return np.cumsum(rows[::-1]), failures


def _failures_above(right: Float, failing: Float) -> float:
    """Sum over right rows of the number of failures ranked above them, ties counted half; ``failing`` is ascending.

    Right rows are looked up in cells of equal width, and compared with failures only in cells that hold one: several
    times as fast as sorting all rows.
    """
    if len(failing) == 0 or len(right) == 0:
        return 0.0
    low = min(right.min(), failing[0])
    width = max(right.max(), failing[-1]) - low or 1.0
    last = (1 << len(right).bit_length()) - 1
    held = np.bincount(((failing - low) / width * last).astype(np.int32), minlength=last + 1)
    above = (len(failing) - np.cumsum(held)).astype(np.int32)
    above[held > 0] = -1
    found = above[((right - low) / width * last).astype(np.int32)]
    near = np.sort(right[found < 0])
    not_above = np.searchsorted(failing, near, side="left").sum() + np.searchsorted(failing, near, side="right").sum()
    return float(np.maximum(found, 0).sum(dtype=np.int64) + len(near) * len(failing) - not_above / 2)
