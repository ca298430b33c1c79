"""Where a fixed sequence starts: at the candidate that is likeliest to be certified.

A start that is too strict has too few trials to certify anything, one that is too lax has a risk too close to its
ceiling, and either ends the sequence at its first step. The choice reads the ordering rows and, of the certifying rows,
only how many there are of each label, on which tests of one label are conditional anyway: it costs no confidence. Where
a risk pools labels, it reads only how many certifying rows there are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import binom

from stage1_core.policy.constraint import RiskConstraint
from stage1_core.predictions import Decisions, Float, Integer, Predictions


def predicted_powers(
    candidates: Sequence[Decisions], order_on: Predictions, certify_labels: Integer, constraint: RiskConstraint
) -> Float:
    """``(levels,)`` predicted probability that each candidate would be certified, were it tested alone.

    ``candidates`` hold the decisions of each candidate on ``order_on`` (independent rows), ``certify_labels`` is
    ``(n,)``. With a guard, the power is that of the demand that is hardest to meet.
    """
    labels = order_on.labels
    counts = np.array(
        [[(d.risk.events, d.risk.trials) for d in constraint.demands(made, labels)] for made in candidates]
    )
    order_pool, certify_pool = (
        [demand.risk.trials for demand in constraint.demands(_everything_exits(len(pool)), pool)]
        for pool in (labels, certify_labels)
    )
    if constraint.pools_labels:
        certify_pool = [round(trials * len(certify_labels) / max(len(labels), 1)) for trials in order_pool]
    ceilings = [demand.ceiling for demand in constraint.demands(candidates[0], labels)]
    powers: Float = np.min(
        [
            predicted_power(counts[:, i, 0], counts[:, i, 1], order_pool[i], certify_pool[i], ceiling, constraint.delta)
            for i, ceiling in enumerate(ceilings)
        ],
        axis=0,
    )
    return powers


def likeliest_start(powers: Float) -> int:
    """Index of the largest of ``(levels,)`` predicted powers, strict to lax; the last of equals."""
    return len(powers) - 1 - int(np.argmax(powers[::-1]))


def predicted_power(
    events: Integer, trials: Integer, pool: int, certify_pool: int, ceiling: float, delta: float
) -> Float:
    """``(levels,)`` probability that each level is certified, predicted from its ``(levels,)`` events and trials.

    ``trials`` of ``pool`` ordering rows met the risk's condition; ``certify_pool`` certifying rows could. The predicted
    trials are one standard deviation below their mean (sampling of both sets), the predicted risk is
    (events + 1) / (trials + 2). Both lean to the safe side: a start that fails ends the search.
    """
    share = (trials + 0.5) / (pool + 1)
    deviation = np.sqrt(certify_pool * share * (1 - share) * (1 + certify_pool / max(pool, 1)))
    expected = np.clip(np.floor(certify_pool * trials / max(pool, 1) - deviation), 0, None)
    allowed = binom.ppf(delta, expected, ceiling)
    allowed -= binom.cdf(allowed, expected, ceiling) > delta
    power: Float = binom.cdf(allowed, expected, (events + 1) / (trials + 2))
    return power


def _everything_exits(n: int) -> Decisions:
    return Decisions.of(np.ones(n, dtype=np.bool_), np.ones(n, dtype=np.bool_))
