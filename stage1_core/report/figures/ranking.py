"""How well a confidence ranks failures, and where the policy cuts the ranking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stage1_core.metrics.bootstrap import BootstrapConfig, bootstrap
from stage1_core.metrics.risk import coverage, exit_error
from stage1_core.metrics.risk_coverage import augrc, risk_coverage_curve
from stage1_core.metrics.statistics import risk_at_coverage_of
from stage1_core.policy.certify import Decides
from stage1_core.predictions import Boolean, Float, Predictions
from stage1_core.report.figures import canvas
from stage1_core.report.wording import percent

BAND = BootstrapConfig(resamples=300, method="percentile")
"""Enough for a band that is looked at; the tables have their own, finer resampling."""
BAND_COVERAGES = np.linspace(0.02, 1, 50)


class Ranking(NamedTuple):
    """One order of the rows, most trusted first, with its look."""

    name: str
    values: Float
    """``(n,)``; higher is trusted more."""
    colour: str
    line: Literal["solid", "dashed"]


class Band(NamedTuple):
    """Pointwise limits of the selective risk at `BAND_COVERAGES`, NaN where it is undefined."""

    lower: Float
    upper: Float


def rankings(predictions: Predictions) -> tuple[Ranking, ...]:
    """By confidence, and by the gate where the head has one."""
    scores = predictions.scores
    by_confidence = Ranking("confidence", scores.confidence, canvas.BLUE, "solid")
    if scores.gate_logits is None:
        return (by_confidence,)
    return by_confidence, Ranking("gate", scores.gate_logits, canvas.ORANGE, "dashed")


def risk_coverage(predictions: Predictions, policy: Decides) -> Figure:
    """Selective risk (exit error) above generalized risk, over coverage, with bands and the policy's operating point.

    The rows are ranked by the probability of the likelier class and, where there is one, by the gate. The bands hold at
    each coverage by itself: 95 %, groups resampled within classes. AUGRC is in the legend.
    """
    figure = canvas.new_figure()
    selective, generalized = figure.subplots(2, 1, sharex=True)
    n = len(predictions)
    canvas.dress(selective, y="wrong,\nof those kept")
    kept = "coverage: share of pictures kept, most trusted first"
    canvas.dress(generalized, x=f"{kept} (n = {n:,})", y="wrong and kept,\nof all")
    for axis in ("x", "y"):
        canvas.percent_axis(generalized, axis)
    canvas.percent_axis(selective, "y")
    selective.set_xlim(0, 1)
    if n == 0:
        canvas.title(selective, "Risk and coverage")
        canvas.note(selective, "no pictures")
        return canvas.describe(figure, "Risk over coverage: there are no pictures.")

    failure: Boolean = predictions.scores.likelier_class != predictions.labels
    drawn = rankings(predictions)
    tops, words = [], []
    for ranking, band in zip(drawn, _bands(drawn, failure, predictions), strict=True):
        area = augrc(ranking.values, failure)
        tops.append(_draw(selective, generalized, ranking, failure, band, f"by {ranking.name}: AUGRC {area:.4f}"))
        words.append(f"AUGRC by {ranking.name} {area:.4f}")

    decisions = policy.decide(predictions.scores)
    exits, errors = coverage(decisions, predictions.labels), exit_error(decisions, predictions.labels)
    if exits.rate is None or errors.rate is None:
        finding = "Nothing exits: exit error is undefined (0 trials)"
    else:
        finding = f"{percent(exits.rate)} exit with an exit error of {percent(errors.rate)}"
        finding += f" ({errors.events:,} of {errors.trials:,})"
        wrong_and_kept = errors.events / n
        canvas.ring(selective, exits.rate, errors.rate, colour=canvas.VERMILLION, label="operating point")
        canvas.ring(generalized, exits.rate, wrong_and_kept, colour=canvas.VERMILLION, label="operating point")
    selective.set_ylim(0, max(*tops, 1.3 * (errors.rate or 0.0), 0.01))
    generalized.set_ylim(0, max(1.3 * float(failure.mean()), 0.01))
    canvas.title(selective, finding)
    canvas.legend_below(generalized)
    return canvas.describe(
        figure, f"Risk over coverage. {finding}. {', '.join(words)}, error of all {percent(float(failure.mean()))}."
    )


def _draw(selective: Axes, generalized: Axes, ranking: Ranking, failure: Boolean, band: Band, label: str) -> float:
    """Both curves of one ranking with their bands. Returns the height that the selective risk needs."""
    kept, together = risk_coverage_curve(ranking.values, failure)
    risk = together[1:] / kept[1:]
    for axes, x, y in ((selective, kept[1:], risk), (generalized, kept, together)):
        axes.plot(x, y, color=ranking.colour, linestyle=ranking.line, linewidth=1.8, label=label)
    # At a given coverage the two risks differ by that factor alone, so one band serves both.
    for axes, factor in ((selective, np.ones_like(BAND_COVERAGES)), (generalized, BAND_COVERAGES)):
        lower, upper = factor * band.lower, factor * band.upper
        axes.fill_between(
            BAND_COVERAGES,
            lower,
            upper,
            color=ranking.colour,
            alpha=0.16,
            linewidth=0,
            label=f"95 %, by {ranking.name}",
        )
    # The first few kept pictures give wild risks; the frame follows the curve where it means something.
    settled = risk[kept[1:] >= min(0.1, kept[-1])]
    shaded = band.upper[BAND_COVERAGES >= 0.1]
    return 1.15 * max(float(settled.max()), float(np.nanmax(shaded, initial=0.0)))


def _bands(drawn: Sequence[Ranking], failure: Boolean, predictions: Predictions) -> list[Band]:
    """One band for each ranking, from the same resamples."""
    statistics = {
        f"{ranking.name} {place}": risk_at_coverage_of(ranking.values, failure, float(share))
        for ranking in drawn
        for place, share in enumerate(BAND_COVERAGES)
    }
    made = bootstrap(
        statistics,
        strata=predictions.labels,
        clusters=predictions.groups,
        config=BAND,
        generator=BAND.generator(),
    )
    bands = []
    for ranking in drawn:
        intervals = [made.intervals[f"{ranking.name} {place}"] for place in range(len(BAND_COVERAGES))]
        limits = [[interval.lower, interval.upper] for interval in intervals]
        bands.append(Band(*np.array(limits, dtype=np.float64).T))
    return bands
