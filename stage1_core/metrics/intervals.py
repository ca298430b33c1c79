"""Exact binomial bounds and p-values on integer counts."""

from __future__ import annotations

import math

from scipy.special import betaincc, betaincinv

from stage1_core.errors import Stage1Error


def _check(events: int, trials: int) -> None:
    if not 0 <= events <= trials:
        raise Stage1Error(f"{events} events of {trials} trials is impossible; need 0 <= events <= trials")


def clopper_pearson_upper(events: int, trials: int, confidence: float) -> float:
    """One-sided exact upper bound on a binomial proportion.

    The ``confidence`` quantile of Beta(events + 1, trials - events); 1 where there are no trials or only events
    (Clopper and Pearson, 1934).
    """
    _check(events, trials)
    return 1.0 if events == trials else float(betaincinv(events + 1, trials - events, confidence))


def clopper_pearson_lower(events: int, trials: int, confidence: float) -> float:
    """One-sided exact lower bound on a binomial proportion; 0 where nothing was observed."""
    _check(events, trials)
    return 0.0 if events == 0 else float(betaincinv(events, trials - events + 1, 1 - confidence))


def binomial_p_value(events: int, trials: int, max_risk: float) -> float:
    """P(Bin(trials, max_risk) <= events): small when the risk is credibly at most ``max_risk``.

    Super-uniform when the true risk exceeds ``max_risk`` (Angelopoulos et al., Learn then Test, arXiv 2110.01052),
    and 1 without trials, so that nothing is ever certified on no evidence. Computed on integers: rounding
    ``trials * rate`` in floats adds an event in one of 24 cases.
    """
    _check(events, trials)
    return 1.0 if events == trials else float(betaincc(events + 1, trials - events, max_risk))


def trials_needed(events: int, max_risk: float, confidence: float) -> int:
    """The fewest trials at which ``events`` events certify a risk of at most ``max_risk``.

    Without events this is ceil(ln(1 - confidence) / ln(1 - max_risk)): 114 at 2 % and 90 %, 149 at 95 %.
    """
    delta = 1 - confidence
    enough = max(1, math.ceil(math.log(delta) / math.log1p(-max_risk)))
    while binomial_p_value(events, enough + events, max_risk) > delta:
        enough *= 2
    low, high = events, enough + events
    while high - low > 1:
        middle = (low + high) // 2
        if binomial_p_value(events, middle, max_risk) <= delta:
            high = middle
        else:
            low = middle
    return high
