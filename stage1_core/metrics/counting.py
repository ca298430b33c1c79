"""Which rows a rate is counted on, so that its trials are independent and its exact bounds hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stage1_core.acceptance import CountedRisk
from stage1_core.metrics.risk import ConditionalRisk
from stage1_core.predictions import Decisions, Integer, Predictions


@dataclass(frozen=True, slots=True, eq=False)
class Counting:
    """Rows to count rates of one label on, and rows to count rates on that pool both labels."""

    of_each_label: Integer
    """Indices: one row for each group and label, or all."""
    of_both: Integer
    """Indices: one row for each group, or all."""

    @staticmethod
    def every_row(rows: Predictions) -> Counting:
        """All rows for every rate: rows of a group are not independent, so bounds are a description."""
        everything = np.arange(len(rows))
        return Counting(everything, everything)

    @staticmethod
    def independent(rows: Predictions) -> Counting:
        """Rows for which bounds hold."""
        return Counting(rows.independent_rows(), rows.independent_rows(across_labels=True))

    def count(self, risk: ConditionalRisk, decisions: Decisions, labels: Integer, confidence: float) -> CountedRisk:
        """The rate of ``risk``, with bounds at ``confidence``, of ``n`` decisions and ``(n,)`` labels."""
        rows = self.of_both if risk.pools_labels else self.of_each_label
        return risk(decisions.take(rows), labels[rows]).counted(confidence)
