"""Conditional risks of decisions: how often something bad occurs among those rows that it could occur in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stage1_core.acceptance import CountedRisk
from stage1_core.metrics.intervals import clopper_pearson_lower, clopper_pearson_upper
from stage1_core.predictions import Boolean, Decisions, Integer


@dataclass(frozen=True, slots=True)
class RiskEstimate:
    """Integer events and trials of a risk. Without trials the risk is undefined, not zero."""

    events: int
    trials: int

    @property
    def rate(self) -> float | None:
        """events / trials as a fraction, None without trials."""
        return self.events / self.trials if self.trials else None

    def upper_bound(self, confidence: float) -> float:
        """Exact one-sided upper bound; 1 without trials."""
        return clopper_pearson_upper(self.events, self.trials, confidence)

    def lower_bound(self, confidence: float) -> float:
        """Exact one-sided lower bound; 0 without trials."""
        return clopper_pearson_lower(self.events, self.trials, confidence)

    def counted(self, confidence: float) -> CountedRisk:
        """The estimate with both bounds, each one-sided at ``confidence``, in the form that is written down."""
        return CountedRisk(
            events=self.events,
            trials=self.trials,
            lower_bound=self.lower_bound(confidence),
            upper_bound=self.upper_bound(confidence),
        )


RowMask = Callable[[Decisions, Integer], Boolean]


@dataclass(frozen=True, slots=True)
class ConditionalRisk:
    """P(occurrence given condition), estimated by counting rows."""

    name: str
    occurrence: RowMask
    condition: RowMask
    pools_labels: bool = False
    """Whether rows of both labels are trials."""

    def __call__(self, decisions: Decisions, labels: Integer) -> RiskEstimate:
        """Count on ``n`` decisions and ``(n,)`` labels."""
        events, trials = self.masks(decisions, labels)
        return RiskEstimate(int(np.count_nonzero(events)), int(np.count_nonzero(trials)))

    def masks(self, decisions: Decisions, labels: Integer) -> tuple[Boolean, Boolean]:
        """``(n,)`` rows that are events and ``(n,)`` rows that are trials; an event is always a trial."""
        trials = self.condition(decisions, labels)
        return trials & self.occurrence(decisions, labels), trials


fnr_on_exited = ConditionalRisk(
    "fnr_on_exited",
    occurrence=lambda decisions, labels: decisions.label == 0,
    condition=lambda decisions, labels: decisions.exited & (labels == 1),
)
"""P(called 0 given exited and y = 1): the promise."""

fpr_on_exited = ConditionalRisk(
    "fpr_on_exited",
    occurrence=lambda decisions, labels: decisions.label == 1,
    condition=lambda decisions, labels: decisions.exited & (labels == 0),
)
"""P(called 1 given exited and y = 0)."""

exit_error = ConditionalRisk(
    "exit_error",
    occurrence=lambda decisions, labels: decisions.label != labels,
    condition=lambda decisions, labels: decisions.exited,
    pools_labels=True,
)
"""P(called wrong given exited)."""

missed_by_exit = ConditionalRisk(
    "missed_by_exit",
    occurrence=lambda decisions, labels: decisions.label == 0,
    condition=lambda decisions, labels: labels == 1,
)
"""P(exited and called 0 given y = 1): the joint reading, which a stricter policy can only lower."""

coverage = ConditionalRisk(
    "coverage",
    occurrence=lambda decisions, labels: decisions.exited,
    condition=lambda decisions, labels: np.ones(len(decisions), dtype=np.bool_),
    pools_labels=True,
)
"""P(exited). Not a risk, but counted the same way."""

rejection = ConditionalRisk(
    "rejection",
    occurrence=lambda decisions, labels: ~decisions.exited,
    condition=lambda decisions, labels: np.ones(len(decisions), dtype=np.bool_),
    pools_labels=True,
)
"""P(not exited): what the second stage must answer."""

RISKS: dict[str, ConditionalRisk] = {
    risk.name: risk for risk in (fnr_on_exited, fpr_on_exited, exit_error, missed_by_exit)
}
"""The risks a constraint can name."""
