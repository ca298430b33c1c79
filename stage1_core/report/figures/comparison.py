"""Two policies side by side: what each does, and what the new one changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from stage1_core.acceptance import CountedRisk
from stage1_core.metrics.bootstrap import Interval
from stage1_core.policy.comparison import ComparedPolicy, PolicyComparison
from stage1_core.report.figures import canvas
from stage1_core.report.wording import RISK_NAMES, percent, points

BETTER: Mapping[str, str] = MappingProxyType(
    {
        "coverage": "more is better",
        "fpr_on_exited": "less is better",
        "exit_error": "less is better",
        "fnr_on_exited": "less is better",
    }
)
"""What is compared, from top to bottom, and which way is good."""
LOOKS = ((canvas.BLUE, "o"), (canvas.ORANGE, "s"))
"""Of the incumbent and of the challenger."""


def comparison_figure(comparison: PolicyComparison) -> Figure:
    """Coverage, FPR, error and FNR of the exits of both policies, and the paired differences around zero.

    On the left each policy with its exact one-sided bounds, on the right challenger minus incumbent with its paired
    bootstrap interval. Each row has its own scale.
    """
    figure = canvas.new_figure()
    grid = figure.subplots(len(BETTER), 2, width_ratios=[3, 2])
    sides = (comparison.incumbent, comparison.challenger)
    words = []
    for (name, better), (values, change) in zip(BETTER.items(), grid, strict=True):
        counted: list[CountedRisk] = [getattr(side.exits, name) for side in sides]
        _draw_values(values, sides, counted)
        _head(values, f"{RISK_NAMES[name]}: {better}")
        _draw_difference(change, comparison.differences.get(name))
        words.append(f"{RISK_NAMES[name]}: {', '.join(_in_words(*pair) for pair in zip(sides, counted, strict=True))}")
    # The three rates are comparable and share their scales; coverage is of another size.
    _share_scale(grid[1:, 0], low=0.0)
    _share_scale(grid[1:, 1])
    _share_scale(grid[:1, 1])
    level = percent(comparison.level)
    rows = f"n = {comparison.rows:,}, {comparison.groups:,} groups"
    grid[-1, 0].set_xlabel(f"share, with exact bounds ({rows})", fontsize=canvas.TEXT_POINTS, color=canvas.INK)
    for lowest in [axes for axes in grid[:, 1] if axes.axison][-1:]:
        words_below = f"points, paired, with {level} intervals"
        lowest.set_xlabel(words_below, fontsize=canvas.TEXT_POINTS, color=canvas.INK)
    gain = comparison.differences["coverage"].value
    found = f"{sides[1].name} instead of {sides[0].name}: coverage "
    found += "difference undefined" if gain is None else points(gain)
    canvas.finding(figure, found[:1].upper() + found[1:])
    canvas.legend_below(grid[0, 0])
    return canvas.describe(figure, f"Comparison of two policies. {coverage_gain(comparison)}. {'; '.join(words)}.")


def coverage_gain(comparison: PolicyComparison) -> str:
    """What the challenger changes of the coverage."""
    gain = comparison.differences["coverage"]
    if gain.value is None or gain.lower is None or gain.upper is None:
        return "The difference in coverage is undefined"
    between = f"{points(gain.lower, '')} to {points(gain.upper, '')}"
    return f"Coverage {points(gain.value)} ({percent(comparison.level)} interval {between})"


def _draw_values(axes: Axes, sides: Sequence[ComparedPolicy], counted: Sequence[CountedRisk]) -> None:
    _lay_out(axes, reach=1.1)
    canvas.percent_axis(axes, "x")
    axes.margins(x=0.18)
    for place, (side, risk, (colour, marker)) in enumerate(zip(sides, counted, LOOKS, strict=True)):
        height = 0.5 - place
        if risk.rate is None:
            axes.plot([], [], marker, color=colour, label=side.name)
            why = "0 trials" if side.no_exit_reason is None else "nothing exits"
            text = f"{side.name}: undefined ({why})"
            place_in = axes.get_yaxis_transform()
            axes.text(
                0.02, height, text, transform=place_in, va="center", fontsize=canvas.SMALL_POINTS, color=canvas.MUTED
            )
            continue
        reach = [[risk.rate - risk.lower_bound], [risk.upper_bound - risk.rate]]
        axes.errorbar(
            [risk.rate], [height], xerr=reach, fmt=marker, color=colour, markersize=7, linewidth=2, label=side.name
        )
        axes.annotate(
            percent(risk.rate),
            (risk.upper_bound, height),
            xytext=(9, 0),
            textcoords="offset points",
            va="center",
            fontsize=canvas.SMALL_POINTS,
            color=canvas.INK,
        )


def _draw_difference(axes: Axes, difference: Interval | None) -> None:
    if difference is None:
        axes.set_axis_off()
        return
    _lay_out(axes, reach=1.0)
    axes.xaxis.set_major_formatter(canvas.plain_numbers())
    if difference.value is None or difference.lower is None or difference.upper is None:
        axes.set_axis_off()
        canvas.note(axes, "undefined")
        return
    axes.axvline(0, color=canvas.INK, linewidth=1.2, linestyle=(0, (5, 3)))
    _head(axes, f"{points(difference.value)} ({points(difference.lower, '')} to {points(difference.upper, '')})")
    reach = [[100 * (difference.value - difference.lower)], [100 * (difference.upper - difference.value)]]
    axes.errorbar(
        [100 * difference.value], [0], xerr=reach, fmt="D", color=canvas.GREEN, markersize=7, linewidth=2, capsize=4
    )


def _lay_out(axes: Axes, *, reach: float) -> None:
    """A strip without a vertical axis, ``reach`` high to either side."""
    canvas.dress(axes, grid="x")
    axes.set_yticks([])
    axes.set_ylim(-reach, reach)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))


def _head(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=canvas.SMALL_POINTS, color=canvas.INK, pad=5)


def _share_scale(strips: Sequence[Axes], low: float | None = None) -> None:
    """One scale for all, from ``low`` or, without it, symmetric around zero; only the lowest strip names it."""
    drawn = [axes for axes in strips if axes.axison]
    limits = [limit for axes in drawn for limit in axes.get_xlim()]
    high = max((limit if low is not None else abs(limit) for limit in limits), default=1.0)
    for axes in drawn:
        axes.set_xlim(-high if low is None else low, high)
        axes.tick_params(labelbottom=axes is drawn[-1])


def _in_words(side: ComparedPolicy, risk: CountedRisk) -> str:
    rate = "undefined" if risk.rate is None else percent(risk.rate)
    return f"{side.name} {rate} ({risk.events} of {risk.trials})"
