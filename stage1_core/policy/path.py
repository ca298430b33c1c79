"""Paths: ways from strict to lax through the exit rules, of which the most promising one is tested."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from stage1_core.metrics.risk import coverage
from stage1_core.policy.certify import Decides
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.policy.start import likeliest_start, predicted_powers
from stage1_core.predictions import Decisions, Float, Integer, Predictions

Rule = TypeVar("Rule", bound=Decides)


@dataclass(frozen=True, slots=True, eq=False)
class Path(Generic[Rule]):
    """Exit rules that differ in one threshold."""

    levels: Float
    """``(levels,)`` thresholds, strict to lax."""
    rule_at: Callable[[float], Rule]
    """The exit rule at a threshold."""
    ordered_at: Callable[[float], Decisions]
    """What that rule decides on the ordering rows that are counted."""
    handicap: float = 0.0
    """Predicted coverage, a fraction, by which the path must be ahead to be preferred to one with a smaller handicap:
    the most promising of many rules owes part of its promise to chance."""
    bearable: Callable[[Decisions], bool] = lambda decisions: True
    """Whether a rule that decides so on the ordering rows is a candidate at all."""

    @staticmethod
    def of(levels: Float, rule_at: Callable[[float], Rule], order: Predictions) -> Path[Rule]:
        """The path of rules that have nothing in common which were worth computing once."""
        return Path(levels, rule_at, lambda level: rule_at(level).decide(order.scores))


def most_promising(
    paths: Sequence[Path[Rule]], order_on: Predictions, certify_labels: Integer, constraint: RiskConstraint
) -> list[tuple[float, Rule]]:
    """The rules to test, (threshold, rule) pairs: the path that promises most, from its likeliest level on.

    A path promises the largest product of predicted power and coverage among its bearable levels; no path without one
    is tested. Like the start, the choice reads ``order_on`` (independent rows) and, of the certifying rows, only how
    many there are of each label, so it costs no confidence: only what is chosen is tested.
    """
    outlooks = [_outlook(path, order_on, certify_labels, constraint) for path in paths]
    best = int(np.argmax([promise for promise, _ in outlooks]))
    return [(level, paths[best].rule_at(level)) for level in outlooks[best][1].tolist()]


def _outlook(
    path: Path[Any], order_on: Predictions, certify_labels: Integer, constraint: RiskConstraint
) -> tuple[float, Float]:
    """What the path promises, and the ``(levels,)`` that it would test."""
    made = ((level, path.ordered_at(level)) for level in path.levels.tolist())
    bearable = [(level, decisions) for level, decisions in made if path.bearable(decisions)]
    if not bearable:
        return -np.inf, np.empty(0)
    levels, decisions = zip(*bearable, strict=True)
    powers = predicted_powers(decisions, order_on, certify_labels, constraint)
    exiting = np.array([coverage(made, order_on.labels).events for made in decisions]) / len(order_on)
    return float(np.max(powers * exiting)) - path.handicap, np.array(levels)[likeliest_start(powers) :]


def quantile_levels(values: Float, size: int) -> Float:
    """``(<= size,)`` quantiles of ``(n,)`` values, strict to lax, ending at the smallest; ties merge."""
    steps = np.linspace(0, 1, size + 1)[:-1]
    return np.unique(np.quantile(values, steps, method="inverted_cdf"))[::-1]
