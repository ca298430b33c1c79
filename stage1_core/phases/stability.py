"""Whether trainings went well, whatever they were made with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from stage1_core.acceptance import AcceptanceReport, FactCheck


def stability_report(logs: Mapping[str, Sequence[Sequence[Mapping[str, float | None]]]]) -> AcceptanceReport:
    """Whether every training went downhill. ``logs`` are the rows of metrics.csv by recipe and seed."""
    checks = []
    for name, of_seeds in logs.items():
        falls = [_fall([row["NLL"] for row in rows]) for rows in of_seeds]
        known = [fall for fall in falls if fall is not None]
        checks.append(
            FactCheck(
                name=f"{name}: with every seed the NLL on the selection rows fell after the first epoch",
                holds=all(fall > 0 for fall in known) if known and len(known) == len(falls) else None,
                evidence=f"by {', '.join(f'{fall:.4g}' for fall in known)}" if known else "no second epoch",
            )
        )
    return AcceptanceReport.of("stability", tuple(checks))


def _fall(losses: Sequence[float | None]) -> float | None:
    """From the first to the lowest later one, minus infinity where one is not finite; None of fewer than two."""
    if len(losses) < 2:
        return None
    finite = [loss for loss in losses if loss is not None and math.isfinite(loss)]
    return finite[0] - min(finite[1:]) if len(finite) == len(losses) else -math.inf
