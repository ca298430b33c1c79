"""How much might exit under a promise: estimated on the rows that select models, before any certifying row is read."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from stage1_core.config import FrozenModel
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.policy.softmax import QuantileGrid, ThresholdExit
from stage1_core.predictions import Boolean, Predictions
from stage1_core.splits import Purpose

GRID = QuantileGrid()
"""Thresholds that are tried: those that a softmax policy tries by default."""


class CertifiableCoverage(FrozenModel):
    """Share of the selection rows that exits at the laxest threshold which keeps the promise on these same rows.

    An optimistic estimate of what a certificate will allow: the rows that are counted also choose the threshold, and
    they chose the model before. It ranks models, it promises nothing.
    """

    threshold: float | None
    """A probability; None where no threshold keeps the promise. Nothing exits then: a counted 0 of all rows."""
    exited: Annotated[int, Field(ge=0)]
    """Of all rows."""
    rows: Annotated[int, Field(gt=0)]
    events: Annotated[int, Field(ge=0)]
    """Of the promised risk at the threshold, among the rows that the promise counts (by default one for each group and
    label)."""
    trials: Annotated[int, Field(ge=0)]
    """Rows in which the risk could occur; 0 where nothing exits."""

    @property
    def coverage(self) -> float:
        """Share of all rows that exits."""
        return self.exited / self.rows

    def exits(self, rows: Predictions) -> Boolean:
        """``(n,)`` which rows exit."""
        if self.threshold is None:
            return np.zeros(len(rows), dtype=np.bool_)
        return ThresholdExit(exit_threshold=self.threshold).decide(rows.scores).exited


def certifiable_coverage(rows: Predictions, counted: Boolean, promise: RiskConstraint) -> CertifiableCoverage:
    """Look for the laxest threshold on ``n`` rows, counting those of the ``(n,)`` mask ``counted``.

    Raises `SplitUseError` for rows that were not read to select a model: certifying rows are opened for what is chosen
    alone.
    """
    rows.require(Purpose.SELECT_MODEL)
    independent = rows.take(counted)
    for level in GRID.levels(independent)[::-1]:
        rule = ThresholdExit(exit_threshold=float(level))
        decisions = rule.decide(independent.scores)
        if promise.p_value(decisions, independent.labels) <= promise.delta:
            found = promise.estimate(decisions, independent.labels)
            exited = int(np.count_nonzero(rule.decide(rows.scores).exited))
            return CertifiableCoverage(
                threshold=rule.exit_threshold,
                exited=exited,
                rows=len(rows),
                events=found.events,
                trials=found.trials,
            )
    return CertifiableCoverage(threshold=None, exited=0, rows=len(rows), events=0, trials=0)
