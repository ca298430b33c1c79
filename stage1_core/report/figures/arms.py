"""Training recipes against the reference: paired differences around zero, one row for each arm."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from stage1_core.policy.arm_choice import ArmChoice, most_augrc
from stage1_core.policy.arm_comparison import ArmComparison, DecidingDifference, SeenArm
from stage1_core.report.figures import canvas
from stage1_core.report.wording import percent, points, signed

DRAWN = ("augrc", "accuracy")
HEADS = ("AUGRC: less is better", "Accuracy, points: more is better")
LONGEST_NAME = 22
"""Characters of an arm's name that leave room for its interval."""
FEWEST_ROWS = 4
"""Height of the chart where there are fewer arms."""


def arms_figure(comparison: ArmComparison, choice: ArmChoice) -> Figure:
    """Difference of every arm to the reference in AUGRC and accuracy, with both intervals and one dot for each seed.

    The thick bar is the paired interval of that difference alone, for these models; the thin one holds together with
    all others and allows for the luck of training. It decides against the dotted line.
    """
    figure = canvas.new_figure()
    charts: Sequence[Axes] = figure.subplots(1, len(DRAWN), sharey=True)
    arms = comparison.challengers
    for axes, number, head in zip(charts, DRAWN, HEADS, strict=True):
        scale = 1.0 if number == "augrc" else 100.0
        canvas.dress(axes, grid="x")
        axes.set_title(head, loc="left", fontsize=canvas.SMALL_POINTS, color=canvas.INK, pad=5)
        axes.axvline(0, color=canvas.INK, linewidth=1.2, linestyle=(0, (5, 3)))
        for place, arm in enumerate(arms):
            bound = _bound(comparison, choice, arm, number)
            limit = "bound" if place == 0 else None
            axes.plot(
                scale * bound, -place, "|", color=canvas.VERMILLION, markersize=16, markeredgewidth=2, label=limit
            )
            _draw(axes, comparison, arm, number, -place, scale, chosen=arm.name == choice.chosen)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
        axes.xaxis.set_major_formatter(canvas.plain_numbers() if scale > 1 else FuncFormatter(_small))
        middle, reach = (1 - len(arms)) / 2, max(len(arms), FEWEST_ROWS) / 2
        axes.set_ylim(middle - reach - 0.1, middle + reach + 0.1)
    charts[0].set_yticks([-place for place in range(len(arms))], [_short(arm.name) for arm in arms])
    charts[1].tick_params(left=False)
    below = (
        f"arm minus {_short(comparison.reference)}, {percent(comparison.level)} intervals",
        f"n = {comparison.rows:,}, {comparison.groups:,} groups, {len(comparison.seeds)} seeds",
    )
    for axes, text in zip(charts, below, strict=True):
        axes.set_xlabel(text, fontsize=canvas.SMALL_POINTS, color=canvas.INK)
    stays = choice.chosen == choice.reference
    canvas.finding(figure, f"{choice.reference} stays" if stays else f"{choice.chosen} in place of {choice.reference}")
    canvas.legend_below(charts[0])
    return canvas.describe(figure, f"Arms against {comparison.reference}. {_in_words(comparison)}.")


def _draw(
    axes: Axes, comparison: ArmComparison, arm: SeenArm, number: str, height: float, scale: float, *, chosen: bool
) -> None:
    difference: DecidingDifference = getattr(comparison.to_reference[arm.name], number)
    alone = difference.alone
    ends = (alone.value, alone.lower, alone.upper, difference.lower, difference.upper)
    value, lower, upper, lowest, highest = (None if end is None else scale * end for end in ends)
    if value is None or lower is None or upper is None or lowest is None or highest is None:
        axes.annotate(
            "undefined", (0, height), va="center", ha="center", fontsize=canvas.SMALL_POINTS, color=canvas.MUTED
        )
        return
    by_seed = getattr(arm, number).minus(getattr(comparison.arm(comparison.reference), number))
    colour = canvas.GREEN if chosen else canvas.BLUE
    named = height == 0  # one row names what all rows hold
    axes.plot(
        [lowest, highest],
        [height] * 2,
        color=colour,
        linewidth=1.4,
        marker="|",
        markersize=8,
        label="all at once, trained again" if named else None,
    )
    axes.plot([lower, upper], [height] * 2, color=colour, linewidth=5, label="alone, these models" if named else None)
    seeds = [scale * seen for seen in by_seed.values if seen is not None]
    axes.plot(
        seeds,
        [height - 0.27] * len(seeds),
        "o",
        color=canvas.MUTED,
        markersize=3.5,
        label="by seed" if named else None,
    )
    axes.plot(value, height, "D", color="white", markeredgecolor=colour, markeredgewidth=1.8, markersize=6)


def _bound(comparison: ArmComparison, choice: ArmChoice, arm: SeenArm, number: str) -> float:
    """What the unfavourable end of the arm's interval must keep."""
    if number == "accuracy":
        return -choice.config.max_accuracy_loss
    return most_augrc(choice.config, arm.cost, comparison.arm(comparison.reference).cost)


def _small(value: float, _: int | None) -> str:
    """Ticks of areas, without trailing zeros."""
    return f"{value:.4f}".rstrip("0").rstrip(".").replace("-", "−")


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def with_ends(show: Callable[[float], str], value: float | None, lower: float | None, upper: float | None) -> str:
    """A number and the ends of its interval, for people."""
    if value is None or lower is None or upper is None:
        return "undefined"
    return f"{show(value)} ({show(lower)} to {show(upper)})"


def _in_words(comparison: ArmComparison) -> str:
    told = []
    for name, against in comparison.to_reference.items():
        augrc, accuracy = against.augrc, against.accuracy
        told.append(
            f"{name}: AUGRC {with_ends(signed, augrc.alone.value, augrc.lower, augrc.upper)}, "
            f"accuracy {with_ends(points, accuracy.alone.value, accuracy.lower, accuracy.upper)}"
        )
    return "; ".join(told)
