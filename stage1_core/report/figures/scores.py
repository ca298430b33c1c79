"""Where the scores of both classes lie, and which of them the policy lets exit."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import logit

from stage1_core.policy.certify import Decides
from stage1_core.predictions import Decisions, Float, Integer, Predictions, Scores
from stage1_core.report.figures import canvas

N_BINS = 48
NARROWEST_LOGIT = 3.0
TICKS_EACH_SIDE = 4
CLASS_NAMES = ("no roadwork", "roadwork")
CLASS_COLOURS = (canvas.BLUE, canvas.ORANGE)


def exit_labels(policy: Decides, margin_logits: Float) -> Integer:
    """``(n,)`` what the policy does at each margin ``(n,)``: 0 or 1 where it exits, -1 where it sends on."""
    logits = np.stack([np.zeros_like(margin_logits), margin_logits], axis=1)
    names = np.array([str(index) for index in range(len(margin_logits))])
    return policy.decide(Scores(names, logits)).label


def confidence_histogram(predictions: Predictions, policy: Decides) -> Figure:
    """P(roadwork) of either class on a logit scale, with the zones shaded in which the policy lets pictures exit.

    Counts are on a scale that is linear below 1 and logarithmic above, so that single misses can be seen.
    """
    figure = canvas.new_figure()
    panels = figure.subplots(2, 1, sharex=True, sharey=True)
    margin = predictions.scores.margin_logits
    decisions = policy.decide(predictions.scores)
    reach = max(NARROWEST_LOGIT, float(np.ceil(np.abs(margin).max(initial=0.0))))
    for label, axes in enumerate(panels):
        rows = predictions.labels == label
        canvas.dress(axes, y="pictures")
        _shade_exits(axes, policy, reach)
        axes.hist(margin[rows], bins=N_BINS, range=(-reach, reach), color=CLASS_COLOURS[label])
        canvas.title(axes, f"{CLASS_NAMES[label]} (n = {int(rows.sum()):,})")
        if not rows.any():
            canvas.note(axes, "no pictures of this class")
        _count_exits(axes, decisions, predictions.labels, label)
    panels[0].set_yscale("symlog", linthresh=1)
    panels[0].yaxis.set_major_formatter(canvas.plain_numbers())
    panels[0].set_ylim(0, max(10.0, 6.0 * panels[0].dataLim.y1, 6.0 * panels[1].dataLim.y1))
    panels[0].set_xlim(-reach, reach)
    name_probabilities(panels[1], reach)
    panels[1].set_xlabel("P(roadwork), logit scale; shaded: exits", fontsize=canvas.TEXT_POINTS, color=canvas.INK)
    return canvas.describe(figure, _words(decisions, predictions.labels))


def _shade_exits(axes: Axes, policy: Decides, reach: float) -> None:
    margins = np.linspace(-reach, reach, 4001)
    labels = exit_labels(policy, margins)
    edges = np.flatnonzero(np.diff(labels)) + 1
    for part in np.split(np.arange(len(margins)), edges):
        if labels[part[0]] >= 0:
            colour = CLASS_COLOURS[int(labels[part[0]])]
            axes.axvspan(margins[part[0]], margins[part[-1]], color=colour, alpha=0.13, linewidth=0)


def _count_exits(axes: Axes, decisions: Decisions, labels: Integer, label: int) -> None:
    """Say in each zone how many pictures of this class it takes."""
    left, middle, right = (int(np.count_nonzero((labels == label) & (decisions.label == out))) for out in (0, -1, 1))
    texts: tuple[tuple[canvas.Side, str, bool], ...] = (
        ("left", f"{left:,} exit as no roadwork", label == 1 and left > 0),
        ("center", f"{middle:,} go on", False),
        ("right", f"{right:,} exit as roadwork", label == 0 and right > 0),
    )
    for side, text, wrong in texts:
        canvas.corner(axes, text, side=side, alarm=wrong)


def name_probabilities(axes: Axes, reach: float, which: Literal["x", "y"] = "x") -> None:
    """Ticks of a logit axis as probabilities: powers of ten, as many as fit, on either side of one half."""
    decades = math.floor(reach / math.log(10))
    step = max(1, math.ceil(decades / TICKS_EACH_SIDE))
    exponents = range(step, decades + 1, step)
    places, names = [0.0], ["0.5"]
    for exponent in exponents:
        place = float(logit(10.0**-exponent))
        places += [place, -place]
        names += [f"{10.0**-exponent:g}", f"{1 - 10.0**-exponent:g}" if exponent <= 4 else f"1 − {10.0**-exponent:g}"]
    (axes.xaxis if which == "x" else axes.yaxis).set_ticks(places, labels=names)


def _words(decisions: Decisions, labels: Integer) -> str:
    parts = []
    for label, name in enumerate(CLASS_NAMES):
        rows = labels == label
        left, right, on = (int(np.count_nonzero(rows & (decisions.label == out))) for out in (0, 1, -1))
        exits = f"{left} exit as no roadwork, {right} as roadwork"
        parts.append(f"of {int(rows.sum())} {name} pictures {exits}, {on} go on")
    return f"Histogram of P(roadwork): {'; '.join(parts)}."
