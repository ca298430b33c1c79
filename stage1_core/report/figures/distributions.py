"""How much the numbers would move if other pictures of the same kind had been drawn."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stage1_core.acceptance import CountedRisk
from stage1_core.metrics.bootstrap import Interval
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.policy.evaluation import Measured
from stage1_core.predictions import Float
from stage1_core.report.figures import canvas
from stage1_core.report.wording import RISK_NAMES, four_decimals, percent

N_BINS = 40
CONSTANT_REACH = 0.01
"""Half the width of the frame around a number that is the same in every resample."""


def augrc_distribution(measured: Measured) -> Figure:
    """AUGRC over the resamples, by confidence and, where there is a gate, by the gate, on one scale."""
    names = {"augrc": "ranked by confidence", "augrc_gate": "ranked by the gate"}
    intervals, level = measured.evaluation.intervals, measured.evaluation.bootstrap.level
    shown = [name for name in names if name in intervals and (name == "augrc" or intervals[name].value is not None)]
    figure = canvas.new_figure()
    if not shown:
        axes = figure.add_subplot()
        canvas.dress(axes, x="AUGRC")
        canvas.title(axes, "AUGRC over resamples")
        canvas.note(axes, "not measured")
        return canvas.describe(figure, "Distribution of AUGRC: it was not measured.")
    panels = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    words = []
    for name, axes, colour in zip(shown, panels, (canvas.BLUE, canvas.ORANGE), strict=False):
        canvas.dress(axes, y="resamples")
        _histogram(axes, measured.draws[name], intervals[name], level, colour)
        words.append(f"AUGRC {names[name]} {_with_interval(intervals[name], level, four_decimals)}")
        canvas.title(axes, words[-1])
    rows = measured.evaluation.model.rows
    panels[-1].set_xlabel(f"AUGRC, lower is better (n = {rows:,})", fontsize=canvas.TEXT_POINTS, color=canvas.INK)
    canvas.legend_below(panels[0])
    return canvas.describe(figure, f"Distribution over resamples. {'. '.join(words)}.")


def exit_distributions(measured: Measured, constraint: RiskConstraint) -> Figure:
    """The constrained risk, with its ceiling and exact upper bound, above the coverage, over the resamples."""
    figure = canvas.new_figure()
    risky, covering = figure.subplots(2, 1)
    evaluation = measured.evaluation
    intervals, level = evaluation.intervals, evaluation.bootstrap.level
    counted = {name: getattr(evaluation.exits_on_all_rows, name) for name in (constraint.risk, "coverage")}
    words = []
    for axes, (name, risk), colour in zip(
        (risky, covering), counted.items(), (canvas.ORANGE, canvas.BLUE), strict=True
    ):
        canvas.dress(axes, x=f"{RISK_NAMES[name]} (n = {risk.trials:,})", y="resamples")
        canvas.percent_axis(axes, "x")
        _histogram(axes, measured.draws[name], intervals[name], level, colour)
        found = RISK_NAMES[name][:1].upper() + RISK_NAMES[name][1:]
        words.append(f"{found} {_with_interval(intervals[name], level, percent)}")
        canvas.title(axes, words[-1])
    bound: CountedRisk = getattr(evaluation.exits, constraint.risk)
    risky.axvline(
        constraint.max_risk,
        color=canvas.INK,
        linewidth=1.4,
        linestyle=(0, (5, 3)),
        label=f"ceiling {percent(constraint.max_risk)}",
    )
    if bound.trials:
        sure, independent = percent(evaluation.confidence), f"{bound.trials:,} independent"
        label = f"exact {sure} upper bound {percent(bound.upper_bound)} ({independent})"
        risky.axvline(bound.upper_bound, color=canvas.VERMILLION, linewidth=1.8, linestyle=":", label=label)
    risky.set_xlim(left=0)
    canvas.legend_below(risky)
    return canvas.describe(figure, f"Distributions over resamples. {'. '.join(words)}.")


def _histogram(axes: Axes, draws: Float, interval: Interval, level: float, colour: str) -> None:
    """Counts of the resampled values, with the interval shaded and the value itself as a line."""
    defined = draws[np.isfinite(draws)]
    if defined.size == 0:
        axes.set_yticks([])
        canvas.note(axes, "undefined in every resample")
        return
    axes.yaxis.set_major_locator(canvas.whole_numbers(4))
    low, high = float(defined.min()), float(defined.max())
    if low == high:
        axes.bar(low, defined.size, width=0.1 * CONSTANT_REACH, color=colour)
        axes.set_xlim(low - CONSTANT_REACH, low + CONSTANT_REACH)
    else:
        axes.hist(defined, bins=N_BINS, color=colour)
    if interval.lower is not None and interval.upper is not None:
        label = f"{percent(level)} interval"
        axes.axvspan(interval.lower, interval.upper, color=canvas.INTERVAL, linewidth=0, zorder=0.4, label=label)
    if interval.value is not None:
        axes.axvline(interval.value, color=canvas.INK, linewidth=1.8, label="value on the rows themselves")


def _with_interval(interval: Interval, level: float, show: Callable[[float], str]) -> str:
    if interval.value is None:
        return "undefined"
    if interval.lower is None or interval.upper is None:
        return f"{show(interval.value)}, interval undefined"
    return f"{show(interval.value)} ({percent(level)} interval {show(interval.lower)} to {show(interval.upper)})"
