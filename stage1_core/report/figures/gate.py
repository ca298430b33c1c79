"""How sure the gate is of pictures that are called right and wrong, and which of them it lets exit."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import logit

from stage1_core.policy import GatePolicy
from stage1_core.predictions import Boolean, Float, Predictions
from stage1_core.report.figures import canvas
from stage1_core.report.figures.scores import CLASS_NAMES, N_BINS, NARROWEST_LOGIT, name_probabilities
from stage1_core.report.wording import percent

WIDEST_LOGIT = 12.0
"""Probabilities nearer to 0 or 1 are drawn at the edge."""


def gate_histogram(predictions: Predictions, policy: GatePolicy) -> Figure:
    """Calibrated P(stage A is right) of either class on a logit scale, right and wrong calls apart, the exits shaded.

    Counts are on a scale that is linear below 1 and logarithmic above, so that single wrong calls can be seen.
    """
    figure = canvas.new_figure()
    panels = figure.subplots(2, 1, sharex=True, sharey=True)
    with np.errstate(divide="ignore"):
        sureness = np.clip(logit(policy.probability(predictions.scores)), -WIDEST_LOGIT, WIDEST_LOGIT)
        threshold = float(np.clip(logit(min(policy.threshold, 1.0)), -WIDEST_LOGIT, WIDEST_LOGIT))
    right: Boolean = predictions.scores.likelier_class == predictions.labels
    exited = policy.decide(predictions.scores).exited
    reach = max(NARROWEST_LOGIT, float(np.ceil(np.abs(sureness).max(initial=0.0))), float(np.ceil(abs(threshold))))
    words = []
    for label, axes in enumerate(panels):
        rows = predictions.labels == label
        canvas.dress(axes, y="pictures")
        axes.axvspan(threshold, reach, color=canvas.GREEN, alpha=0.13, linewidth=0)
        _draw(axes, sureness[rows], right[rows], reach)
        canvas.title(axes, f"{CLASS_NAMES[label]} (n = {int(rows.sum()):,})")
        if not rows.any():
            canvas.note(axes, "no pictures of this class")
        wrong_exits = int(np.count_nonzero(rows & exited & ~right))
        exits, on = int(np.count_nonzero(rows & exited)), int(np.count_nonzero(rows & ~exited))
        canvas.corner(axes, f"{on:,} go on", side="left")
        canvas.corner(axes, f"{exits:,} exit, {wrong_exits:,} of them wrong", side="right", alarm=wrong_exits > 0)
        words.append(f"of {int(rows.sum())} {CLASS_NAMES[label]} pictures {exits} exit, {wrong_exits} of them wrong")
    panels[0].set_yscale("symlog", linthresh=1)
    panels[0].yaxis.set_major_formatter(canvas.plain_numbers())
    panels[0].set_ylim(0, max(10.0, 6.0 * panels[0].dataLim.y1, 6.0 * panels[1].dataLim.y1))
    name_probabilities(panels[1], reach)
    panels[0].set_xlim(min(-1.0, float(np.floor(min(sureness.min(initial=0.0), threshold)))), reach)
    zone = f"calibrated P(stage A is right), logit scale; shaded: exits at {percent(policy.threshold)} or more"
    panels[1].set_xlabel(zone, fontsize=canvas.TEXT_POINTS, color=canvas.INK)
    canvas.legend_below(panels[0])
    return canvas.describe(figure, f"Histogram of the gate's probability: {'; '.join(words)}.")


def _draw(axes: Axes, sureness: Float, right: Boolean, reach: float) -> None:
    for rows, colour, depth, name in (
        (right, canvas.BLUE, 0.45, "called right"),
        (~right, canvas.VERMILLION, 1, "called wrong"),
    ):
        axes.hist(sureness[rows], bins=2 * N_BINS, range=(-reach, reach), color=colour, alpha=depth, label=name)
