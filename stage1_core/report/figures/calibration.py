"""Whether what is called 90 % sure is right nine times in ten."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import expit

from stage1_core.metrics.calibration_error import ece
from stage1_core.metrics.intervals import clopper_pearson_lower, clopper_pearson_upper
from stage1_core.policy import GatePolicy, ScrcPolicy
from stage1_core.predictions import Boolean, Float, Predictions
from stage1_core.report.figures import canvas
from stage1_core.report.wording import percent

N_BINS = 10
BAR_CONFIDENCE = 0.95
"""One-sided, at either end of a bar's interval: together a 90 % interval."""


class Bin(NamedTuple):
    """One occupied bin of the diagram."""

    middle: float
    """Centre of the bin, a probability."""
    rows: int
    right: int
    mean_confidence: float

    @property
    def accuracy(self) -> float:
        """Share of its rows that is right."""
        return self.right / self.rows


def reliability_bins(probability: Float, correct: Boolean) -> list[Bin]:
    """The occupied bins, right-closed as in `ece`; both arguments are ``(n,)``."""
    edges = np.linspace(0.0, 1.0, N_BINS + 1)
    index = np.clip(np.searchsorted(edges, probability, side="left") - 1, 0, N_BINS - 1)
    bins = []
    for number in np.unique(index).tolist():
        inside = index == number
        middle = float(edges[number] + edges[number + 1]) / 2
        rows, right = int(inside.sum()), int(correct[inside].sum())
        bins.append(Bin(middle, rows, right, float(probability[inside].mean())))
    return bins


def reliability(predictions: Predictions) -> Figure:
    """Accuracy against confidence in the ten bins of the reported ECE, with the rows of each bin below.

    Confidence is the probability of the likelier class, so two classes fill only the five bins above one half.
    """
    stated = Stated("Reliability diagram", "confidence: probability of the likelier class", lowest=0.5)
    return _diagram(stated, predictions.scores.confidence, _right(predictions))


def gate_reliability(predictions: Predictions, policy: GatePolicy) -> Figure:
    """Whether pictures that the gate calls 90 % sure are called right nine times in ten, in ten bins."""
    stated = Stated("Reliability diagram of the gate", "gate: calibrated P(stage A is right)", lowest=0.0)
    return _diagram(stated, policy.probability(predictions.scores), _right(predictions))


def roadwork_reliability(predictions: Predictions, policy: ScrcPolicy) -> Figure:
    """Share of roadwork against P(roadwork) in ten bins, before and after the policy's calibration of the classes."""
    figure = canvas.new_figure()
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    n = len(predictions)
    canvas.dress(upper, y="share of roadwork")
    canvas.dress(lower, x=f"P(roadwork) (n = {n:,})", y="pictures")
    canvas.percent_axis(upper, "x")
    canvas.percent_axis(upper, "y")
    upper.set_xlim(0, 1)
    if n == 0:
        canvas.title(upper, "Reliability of P(roadwork)")
        canvas.note(upper, "no pictures")
        return canvas.describe(figure, "Reliability of P(roadwork): there are no pictures.")

    roadwork: Boolean = predictions.labels == 1
    upper.plot([0, 1], [0, 1], color=canvas.MUTED, linewidth=1.2, linestyle=(0, (5, 3)), label="perfectly calibrated")
    errors = []
    for name, scores, colour, width in (
        ("before", predictions.scores, canvas.ORANGE, 0.09),
        ("after", policy.calibrated(predictions.scores), canvas.BLUE, 0.05),
    ):
        probability = expit(scores.margin_logits)
        bins = reliability_bins(probability, roadwork)
        error = ece(probability, roadwork, N_BINS)
        assert error is not None
        errors.append(f"{percent(error)} {name}")
        _draw_shares(upper, bins, colour, f"{name} calibration, exact 90 % interval")
        lower.bar([b.middle for b in bins], [b.rows for b in bins], width=width, color=colour)
    upper.set_ylim(0, 1.02)
    lower.yaxis.set_major_locator(canvas.whole_numbers(3))
    canvas.title(upper, f"ECE of P(roadwork): {', '.join(errors)} calibration")
    canvas.legend_below(upper)
    return canvas.describe(
        figure, f"Reliability of P(roadwork) over {n} pictures. ECE {', '.join(errors)} calibration."
    )


class Stated(NamedTuple):
    """The probability that a diagram holds against what came true."""

    name: str
    label: str
    lowest: float
    """Smallest value that it can take."""


def _right(predictions: Predictions) -> Boolean:
    right: Boolean = predictions.scores.likelier_class == predictions.labels
    return right


def _diagram(stated: Stated, probability: Float, correct: Boolean) -> Figure:
    figure = canvas.new_figure()
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    n = len(probability)
    canvas.dress(upper, y="accuracy")
    canvas.dress(lower, x=f"{stated.label} (n = {n:,})", y="pictures")
    canvas.percent_axis(upper, "x")
    canvas.percent_axis(upper, "y")
    upper.set_xlim(stated.lowest, 1)
    if n == 0:
        canvas.title(upper, "Reliability")
        canvas.note(upper, "no pictures")
        return canvas.describe(figure, f"{stated.name}: there are no pictures.")

    error = ece(probability, correct, N_BINS)
    assert error is not None
    bins = reliability_bins(probability, correct)
    _draw_accuracy(upper, bins)
    _draw_counts(lower, bins)
    mean_gap = float(probability.mean() - correct.mean())
    lean = "overconfident" if mean_gap > 0 else "underconfident"
    canvas.title(upper, f"ECE {percent(error)}; on average {percent(abs(mean_gap))} {lean}")
    canvas.legend_below(upper)
    words = "; ".join(f"at {percent(b.mean_confidence)}: {b.right} of {b.rows} right" for b in bins)
    return canvas.describe(figure, f"{stated.name}. ECE {percent(error)} over {n} pictures. {words}.")


def _draw_accuracy(axes: Axes, bins: list[Bin]) -> None:
    axes.plot([0, 1], [0, 1], color=canvas.MUTED, linewidth=1.2, linestyle=(0, (5, 3)), label="perfectly calibrated")
    axes.bar([b.middle for b in bins], [b.accuracy for b in bins], width=0.09, color=canvas.BLUE, alpha=0.22)
    _draw_shares(axes, bins, canvas.BLUE, "accuracy at mean confidence, exact 90 % interval")
    axes.set_ylim(0, 1.02)


def _draw_shares(axes: Axes, bins: list[Bin], colour: str, label: str) -> None:
    """What came true of each bin, with its exact interval, at the mean of what was stated."""
    lows = [b.accuracy - clopper_pearson_lower(b.right, b.rows, BAR_CONFIDENCE) for b in bins]
    highs = [clopper_pearson_upper(b.right, b.rows, BAR_CONFIDENCE) - b.accuracy for b in bins]
    axes.errorbar(
        [b.mean_confidence for b in bins],
        [b.accuracy for b in bins],
        yerr=[lows, highs],
        fmt="o",
        markersize=7,
        linewidth=1.8,
        capsize=4,
        color=colour,
        label=label,
    )


def _draw_counts(axes: Axes, bins: list[Bin]) -> None:
    axes.bar([b.middle for b in bins], [b.rows for b in bins], width=0.09, color=canvas.GREYED)
    for b in bins:
        axes.annotate(
            f"{b.rows:,}",
            (b.middle, b.rows),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            fontsize=canvas.SMALL_POINTS,
            color=canvas.INK,
        )
    axes.set_ylim(0, 1.45 * max(b.rows for b in bins))
    axes.yaxis.set_major_locator(canvas.whole_numbers(3))
