"""The paths through SCRC's pairs of thresholds. Each varies one of the two, so that its levels have an order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from stage1_core.calibration import AnyClassCalibrator
from stage1_core.config import FrozenModel
from stage1_core.errors import PolicyError
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.policy.false_alarms import bearable_false_alarms
from stage1_core.policy.path import Path, quantile_levels
from stage1_core.policy.scrc_exit import ScrcExit, ScrcReading, SoonerExit
from stage1_core.policy.selection import Selector, Signal, fit_selector
from stage1_core.predictions import Float, Predictions

EVERYTHING_SELECTED, EVERY_CLASS_CLEAR = 0.0, 0.5
SOONER_SHARES = (0.0, 0.2, 0.5)
"""Of the ordering pictures that are called 1: the share that stays behind where positives exit sooner."""
SOONER_HANDICAP = 0.05
"""Predicted coverage, a fraction, by which such a path must be ahead: with more choices, more is promised by chance."""


class ScrcGrid(FrozenModel):
    """Which pairs are candidates."""

    signal: Literal["auto", "gate", "energy"] = "auto"
    """What selects beside the confidence: the gate's logit, the energy of the class logits, or the gate where the
    scores have one and the energy where not."""
    size: Annotated[int, Field(ge=2, le=2000)] = 50
    """Levels of the threshold that a path varies, quantiles on VAL_SELECT; ties merge."""
    selection_levels: Annotated[int, Field(ge=1, le=100)] = 10
    """Values of lambda1 between which paths over lambda2 choose, quantiles of the signal on VAL_SELECT."""
    pair_handicap: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Predicted coverage, a fraction, by which a path with a lambda1 of its own must be ahead of the simple ones."""
    positives: Literal["alike", "sooner"] = "alike"
    """Whether pictures that are called 1 may exit at laxer thresholds. Then more can exit, and it is paid for in false
    alarms: "sooner" needs a ceiling for them, constraint.max_fpr_on_exited or max_exit_error."""

    def require_guard(self, constraint: RiskConstraint) -> None:
        """Raise `PolicyError` where positives shall exit sooner and nothing bounds false alarms."""
        if self.positives == "sooner" and not constraint.bounds_false_alarms:
            raise PolicyError(
                "positives that exit sooner are never misses, so without a ceiling on false alarms all of them would "
                "exit; set max_fpr_on_exited or max_exit_error, or positives: alike"
            )


GRID = ScrcGrid()


def scrc_paths(
    grid: ScrcGrid,
    calibrators: Sequence[AnyClassCalibrator],
    order_on: Predictions,
    counted: Predictions,
    constraint: RiskConstraint,
) -> list[Path[ScrcExit]]:
    """Every path: selectors are fitted on all of ``order_on``, levels are quantiles of its ``counted`` rows.

    First the simple ones with each of ``calibrators``, over the selection score or the confidence alone; then, with the
    first calibrator and a handicap, those over the signal alone and over the confidence of what a fixed lambda1 selects
    by the signal. Where the constraint does not bound false alarms, levels that raise more of them than is bearable are
    none: calibrators and energy can tell the classes apart, and so let one of them exit sooner.
    """
    paths: list[Path[ScrcExit]] = []
    for calibrator in calibrators:
        by_both = _everything(calibrator, _selector(grid.signal, calibrator, order_on, with_confidence=True))
        simple = [by_both, by_both.model_copy(update={"sweeps": "lambda2"})]
        reading = by_both.read(counted.scores)
        paths += _paths_of(grid, simple, reading, 0.0, sooner=grid.positives == "sooner")
    first = calibrators[0]
    by_signal = _everything(first, _selector(grid.signal, first, order_on, with_confidence=False))
    reading = by_signal.read(counted.scores)
    fixed = quantile_levels(reading.selection, grid.selection_levels)[:-1].tolist()
    pairs = [by_signal, *(by_signal.model_copy(update={"sweeps": "lambda2", "lambda1": level}) for level in fixed)]
    paths += _paths_of(grid, pairs, reading, grid.pair_handicap, sooner=False)
    if constraint.bounds_false_alarms:
        return paths
    bearable = bearable_false_alarms(counted, constraint.max_risk)
    return [replace(path, bearable=bearable) for path in paths]


def _everything(calibrator: AnyClassCalibrator, selector: Selector) -> ScrcExit:
    """The laxest rule; it sweeps lambda1."""
    return ScrcExit(
        lambda1=EVERYTHING_SELECTED,
        lambda2=EVERY_CLASS_CLEAR,
        sweeps="lambda1",
        selector=selector,
        class_calibrator=calibrator,
    )


def _paths_of(
    grid: ScrcGrid, rules: Sequence[ScrcExit], reading: ScrcReading, handicap: float, *, sooner: bool
) -> Iterator[Path[ScrcExit]]:
    """The paths that sweep each of ``rules``, which have one selector."""
    for rule in rules:
        values = reading.selection if rule.sweeps == "lambda1" else reading.confidence
        levels = quantile_levels(values, grid.size)
        yield _swept(rule, levels, reading, handicap)
        if sooner:
            for positives in _sooner(rule, values[reading.label == 1]):
                yield _swept(rule.model_copy(update={"positives": positives}), levels, reading, SOONER_HANDICAP)


def _swept(rule: ScrcExit, levels: Float, reading: ScrcReading, handicap: float) -> Path[ScrcExit]:
    def rule_at(level: float) -> ScrcExit:
        return rule.model_copy(update={rule.sweeps: level})

    return Path(levels, rule_at, lambda level: rule_at(level).decide_read(reading), handicap)


def _sooner(rule: ScrcExit, called_one: Float) -> list[SoonerExit]:
    """Where pictures that are called 1 may exit already, by the ``(n,)`` values of theirs that the rule sweeps."""
    if len(called_one) == 0:
        return []
    levels = np.unique(np.quantile(called_one, SOONER_SHARES, method="inverted_cdf")).tolist()
    fixed = {"lambda1": rule.lambda1, "lambda2": rule.lambda2}
    return [SoonerExit(**fixed | {rule.sweeps: level}) for level in levels]


def _selector(
    signal: Literal["auto", "gate", "energy"],
    calibrator: AnyClassCalibrator,
    rows: Predictions,
    *,
    with_confidence: bool,
) -> Selector:
    scores = rows.scores
    chosen: Signal = ("energy" if scores.gate_logits is None else "gate") if signal == "auto" else signal
    calibrated = replace(scores, logits=calibrator.class_logits(scores.logits))
    right = calibrated.likelier_class == rows.labels
    return fit_selector(chosen, scores, calibrated, right, with_confidence=with_confidence)
