"""A limit for false alarms where none is promised: coverage must not be bought with them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from stage1_core.metrics.intervals import clopper_pearson_upper
from stage1_core.metrics.risk import fpr_on_exited
from stage1_core.predictions import Decisions, Predictions

CHANCE = 0.95
"""One-sided confidence of the bound that is still put down to chance."""


def bearable_false_alarms(rows: Predictions, max_risk: float) -> Callable[[Decisions], bool]:
    """Says of decisions on ``rows`` whether their FPR on exited is bearable.

    A promise about misses alone is kept best by calling everything roadwork. Bearable is the rate that is promised of
    misses, ``max_risk``, or what the model's own classes have where as many rows exit, the most confident first: the
    exact upper bound of that rate.
    """
    order = np.argsort(-np.abs(rows.scores.margin_logits), kind="stable")
    negative = rows.labels[order] == 0
    negatives = np.cumsum(negative)
    false_alarms = np.cumsum(negative & (rows.scores.likelier_class[order] == 1))

    def bearable(decisions: Decisions) -> bool:
        found = fpr_on_exited(decisions, rows.labels)
        if found.rate is None:
            return True
        last = np.count_nonzero(decisions.exited) - 1
        usual = clopper_pearson_upper(int(false_alarms[last]), int(negatives[last]), CHANCE)
        return found.rate <= max(max_risk, usual)

    return bearable
