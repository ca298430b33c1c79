"""How far the ends of several intervals must reach to hold all at once, and when training was a matter of luck too."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, stdtrit

from stage1_core.predictions import Float

ROUNDING = 1e-12
"""Standard errors up to this, of numbers of order 1, are what rounding leaves of a number that never varies."""


def critical_value(values: Float, draws: Float, confidence: float) -> float:
    """Standard errors that the ends of ``k`` intervals must lie from their numbers to hold together, on either side.

    ``values`` is ``(k,)`` and ``draws`` ``(resamples, k)``, of order 1 and evaluated on the same resamples. The
    quantile at ``confidence`` of the largest deviation of any number in its own standard errors: the single-step method
    of maxima, which uses how the numbers move together and so reaches less far than Bonferroni's bound (Westfall and
    Young, 1993; Romano and Wolf, Journal of the American Statistical Association 100, 2005). Of the two tails the
    longer serves both sides: a skewed number has its long tail where it is large, but where it happens to be small its
    standard error is too small as well. Numbers that are undefined in a resample, or never vary, take no part; 0 where
    none is left.
    """
    deviations = draws.std(axis=0, ddof=1)
    varying = np.flatnonzero(deviations > ROUNDING)  # NaN is not above it
    if len(varying) == 0:
        return 0.0
    excess = (draws[:, varying] - values[varying]) / deviations[varying]
    above, below = excess.max(axis=1), -excess.min(axis=1)
    return float(max(np.quantile(above, confidence), np.quantile(below, confidence)))


def reach(critical: float, rows_error: float, training_error: float, runs: int) -> float:
    """Length of an interval to one side, from both sources of error.

    ``critical`` is in standard errors; ``rows_error`` is the standard error of drawing rows and ``training_error`` that
    of training, estimated from ``runs`` trained models. The two variances add up, and Student's quantile takes the
    place of the normal one, with degrees of freedom that count only the second as estimated from few (Satterthwaite,
    Biometrics Bulletin 2, 1946).
    """
    if training_error == 0:
        return critical * rows_error
    both = float(np.hypot(rows_error, training_error))
    freedom = (runs - 1) * (both / training_error) ** 4
    return float(stdtrit(freedom, ndtr(critical))) * both
