"""The search for an exit threshold, as the certifying rows saw it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stage1_core.metrics.risk import RiskEstimate
from stage1_core.policy import AnyPolicy
from stage1_core.policy.certify import SweepLevel, certified_level
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.predictions import Float
from stage1_core.report.figures import canvas
from stage1_core.report.wording import RISK_NAMES, percent, threshold_name

THRESHOLD_TICKS = 6


def certificate_sweep(policy: AnyPolicy, constraint: RiskConstraint) -> Figure:
    """Risk, with its exact one-sided upper bound, against coverage along the tested sequence, strict to lax.

    Levels behind the first failure were not tested and are greyed. Without a certified level no operating point is
    marked. The upper axis names the thresholds.
    """
    figure = canvas.new_figure()
    axes = figure.add_subplot()
    levels = policy.sweep_results
    symbol, name = threshold_name(policy)
    risk = RISK_NAMES[constraint.risk]
    rows = levels[0].rows if levels else 0
    canvas.dress(axes, x=f"coverage: share that exits (n = {rows:,} certifying rows)", y=risk)
    canvas.percent_axis(axes, "x")
    canvas.percent_axis(axes, "y")
    if not levels:
        canvas.title(axes, "Nothing was certified")
        canvas.note(axes, "no candidate was tested")
        return canvas.describe(figure, "Certificate sweep: no candidate was tested.")

    certified = sum(level.certified for level in levels)
    bounds = np.array([_estimate(level).upper_bound(constraint.confidence) for level in levels])
    # With a certificate the frame stays near the ceiling; without one it shows how far off the first level was.
    highest = 4 * constraint.max_risk if certified else 1.0
    top = float(np.clip(1.25 * bounds[: certified + 1].max(), 2 * constraint.max_risk, highest))
    _draw_levels(axes, levels, bounds, certified, top, constraint.confidence)
    axes.axhline(constraint.max_risk, color=canvas.INK, linewidth=1.2, linestyle=(0, (5, 3)))
    # In the margin: inside, curves and marks of some policy cross every place along the line.
    axes.annotate(
        f"ceiling\n{percent(constraint.max_risk)}",
        (1, constraint.max_risk),
        xycoords=("axes fraction", "data"),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontsize=canvas.SMALL_POINTS,
        color=canvas.INK,
    )
    if policy.threshold is not None:
        level = certified_level(levels, policy.threshold)
        _mark_operating_point(axes, level, _estimate(level).upper_bound(constraint.confidence), symbol)
        finding = f"Certified: {percent(_coverage(level))} exit, {risk} ≤ {percent(constraint.max_risk)}"
        finding += f" with {percent(constraint.confidence)} confidence"
    else:
        finding = f"Nothing certified: no tested level proves {risk} ≤ {percent(constraint.max_risk)}"
    axes.set_ylim(0, top)
    low, high = axes.get_xlim()
    high = min(high, 1.005)
    axes.set_xlim(min(max(low, -0.005), high - 0.1), high)
    _name_thresholds(axes, levels, name)
    canvas.title(axes, finding)
    canvas.legend_below(axes)
    tested = min(len(levels), certified + 1)
    return canvas.describe(
        figure, f"Certificate sweep. {finding}. {certified} of {tested} tested levels passed; {len(levels)} in all."
    )


def _draw_levels(
    axes: Axes, levels: Sequence[SweepLevel], bounds: Float, certified: int, top: float, confidence: float
) -> None:
    coverage = np.array([_coverage(level) for level in levels])
    rates = [_estimate(level).rate for level in levels]
    observed = np.array([np.nan if rate is None else rate for rate in rates])
    # A bound above the frame is drawn at its edge, pointing up, so that no level silently disappears.
    shown, outside = np.minimum(bounds, top * 0.985), bounds > top
    tested = slice(0, min(len(levels), certified + 1))
    untested = slice(max(tested.stop - 1, 0), len(levels))
    sure = percent(confidence)
    for values, line, colour, label in (
        (shown, "o-", canvas.BLUE, f"exact {sure} upper bound"),
        (observed, "s:", canvas.ORANGE, "observed"),
    ):
        axes.plot(coverage[tested], values[tested], line, color=colour, label=label, markersize=4.5, linewidth=1.8)
    if len(levels) > tested.stop:
        axes.plot(
            coverage[untested],
            shown[untested],
            color=canvas.GREYED,
            linewidth=1.2,
            zorder=1.5,
            label="behind the first failure: not tested",
        )
        axes.plot(coverage[untested], observed[untested], color=canvas.GREYED, linewidth=1.2, linestyle=":", zorder=1.5)
    if certified < len(levels):
        failed = levels[certified]
        label = f"first failure (p = {failed.p_value:.4g}, needs ≤ {1 - confidence:.2g})"
        marker = "^" if outside[certified] else "X"
        axes.plot(coverage[certified], shown[certified], marker, color=canvas.VERMILLION, markersize=9, label=label)


def _mark_operating_point(axes: Axes, level: SweepLevel, bound: float, symbol: str) -> None:
    axes.axvline(_coverage(level), color=canvas.BLUE, linewidth=1, alpha=0.5)
    label = (
        f"operating point {symbol} = {level.threshold:.5g}: {level.events} of {level.trials}, bound {percent(bound)}"
    )
    canvas.ring(axes, _coverage(level), bound, colour=canvas.BLUE, label=label)


def _name_thresholds(axes: Axes, levels: Sequence[SweepLevel], name: str) -> None:
    """Thresholds on the upper edge, at a few levels that lie far enough apart to be read."""
    low, high = axes.get_xlim()
    places: list[float] = []
    names: list[str] = []
    for level in levels:
        place = _coverage(level)
        if not places or place - places[-1] >= (high - low) / THRESHOLD_TICKS:
            places.append(place)
            names.append(f"{level.threshold:.3g}")
    upper = axes.secondary_xaxis("top")
    upper.set_xticks(places, labels=names)
    upper.tick_params(colors=canvas.MUTED, labelcolor=canvas.MUTED, labelsize=canvas.SMALL_POINTS)
    upper.spines["top"].set_visible(False)
    upper.set_xlabel(f"{name}: strict → lax", fontsize=canvas.SMALL_POINTS, color=canvas.MUTED)


def _estimate(level: SweepLevel) -> RiskEstimate:
    return RiskEstimate(level.events, level.trials)


def _coverage(level: SweepLevel) -> float:
    """Share of the certifying rows that exits; a level seen on no rows lets nothing exit."""
    return level.exited / level.rows if level.rows else 0.0
