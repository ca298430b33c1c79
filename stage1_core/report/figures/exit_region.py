"""Which pictures a policy with two thresholds lets exit, and where the wrong calls lie."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy.special import logit

from stage1_core.policy import ScrcPolicy
from stage1_core.predictions import Boolean, Float, Predictions
from stage1_core.report.figures import canvas
from stage1_core.report.figures.scores import CLASS_NAMES, NARROWEST_LOGIT, name_probabilities

WIDEST_LOGIT = 12.0
"""Probabilities nearer to 0 or 1 are drawn at the edge."""
ERRORS = ("misses", "false alarms")
"""What a wrong call of each class is."""
Dashes = tuple[int, tuple[int, int]]
EXITS = "#def2ed"
"""Green on white, opaque, so that two rectangles that overlap are one region. Lies under the grid."""


def exit_region(certified_on: Predictions, policy: ScrcPolicy) -> Figure:
    """Calibrated confidence over selection score on the certifying rows, one chart for each call, the exits shaded.

    Both axes are logit scales. Wrong calls are crosses, and those that exit are crosses in a ring: as "no roadwork"
    they are the misses that the certificate counts.
    """
    figure = canvas.new_figure()
    panels = figure.subplots(2, 1, sharex=True, sharey=True)
    reading = policy.read(certified_on.scores)
    selection, confidence = _logits(reading.selection), _logits(reading.confidence)
    wrong: Boolean = reading.label != certified_on.labels
    exited = policy.decide_read(reading).exited
    frame = _frame(selection, confidence, policy)
    words = []
    for call, axes in enumerate(panels):
        rows = reading.label == call
        canvas.dress(axes, y="calibrated\nP(likelier class)", grid="both")
        _draw_region(axes, policy, call)
        _draw_calls(axes, selection, confidence, rows, wrong, exited)
        canvas.title(axes, f"called {CLASS_NAMES[call]} (n = {int(rows.sum()):,})")
        if not rows.any():
            canvas.note(axes, "no pictures are called so")
        exits, errors = int(np.count_nonzero(rows & exited)), int(np.count_nonzero(rows & exited & wrong))
        canvas.corner(axes, f"{int(rows.sum()) - exits:,} go on", side="left")
        canvas.corner(axes, f"{exits:,} exit, {errors:,} {ERRORS[call]}", side="right", alarm=errors > 0)
        words.append(f"of {int(rows.sum())} pictures called {CLASS_NAMES[call]} {exits} exit, {errors} {ERRORS[call]}")
    low, right, top = frame
    name_probabilities(panels[1], max(right, -low))
    name_probabilities(panels[0], top, which="y")
    # Room for whole marks at the edges, and above the highest point for what is written there.
    panels[0].set(xlim=(low - 0.2, right + 0.2), ylim=(-0.03 * top, 1.35 * top))
    across = f"P(stage A is right), logit scale; shaded: exits (n = {len(certified_on):,} certifying rows)"
    panels[1].set_xlabel(across, fontsize=canvas.TEXT_POINTS, color=canvas.INK)
    canvas.legend_below(panels[0])
    return canvas.describe(figure, f"Exit region over selection score and confidence: {'; '.join(words)}.")


def _logits(probability: Float | float) -> Float:
    with np.errstate(divide="ignore"):
        placed: Float = np.clip(logit(np.minimum(probability, 1.0)), -WIDEST_LOGIT, WIDEST_LOGIT)
    return placed


def _frame(selection: Float, confidence: Float, policy: ScrcPolicy) -> tuple[float, float, float]:
    """Left, right and upper limit in logits: all points, and both thresholds where they decide anything."""
    thresholds = _logits(np.array([policy.lambda1, policy.lambda2]))
    across = np.append(selection, thresholds[0] if policy.lambda1 > 0 else 0.0)
    low, right = float(np.floor(across.min())), float(np.ceil(across.max()))
    top = float(np.ceil(np.append(confidence, thresholds[1]).max()))
    return min(low, -1.0), max(right, NARROWEST_LOGIT), max(top, NARROWEST_LOGIT)


def _draw_region(axes: Axes, policy: ScrcPolicy, call: int) -> None:
    """Both thresholds as lines, those for pictures that are called roadwork in their own chart."""
    _draw_rule(axes, policy.lambda1, policy.lambda2, (0, (5, 3)), "λ₁ = {:.4g}, λ₂ = {:.4g}")
    if policy.positives is None or not policy.exits_sooner:
        return
    dots, name = (0, (1, 2)), "called roadwork: λ₁ = {:.4g}, λ₂ = {:.4g}"
    if call == 1:
        _draw_rule(axes, policy.positives.lambda1, policy.positives.lambda2, dots, name)
    else:  # the legend is that of the first chart
        label = name.format(policy.positives.lambda1, policy.positives.lambda2)
        axes.plot([], [], color=canvas.INK, linewidth=1.2, linestyle=dots, label=label)


def _draw_rule(axes: Axes, lambda1: float, lambda2: float, dashes: Dashes, name: str) -> None:
    left, bottom = (float(place) for place in _logits(np.array([lambda1, lambda2])))
    if lambda1 <= 1:
        far = 3 * WIDEST_LOGIT
        axes.add_patch(Rectangle((left, bottom), far, far, color=EXITS, linewidth=0, zorder=0.1))
    axes.axvline(left, color=canvas.INK, linewidth=1.2, linestyle=dashes, zorder=1.5)
    label = name.format(lambda1, lambda2)
    axes.axhline(bottom, color=canvas.INK, linewidth=1.2, linestyle=dashes, zorder=1.5, label=label)


def _draw_calls(
    axes: Axes, selection: Float, confidence: Float, rows: Boolean, wrong: Boolean, exited: Boolean
) -> None:
    right, errors, exits = rows & ~wrong, rows & wrong, rows & wrong & exited
    axes.plot(
        selection[right],
        confidence[right],
        ".",
        color=canvas.BLUE,
        alpha=0.25,
        markersize=5,
        label="called right",
    )
    axes.plot(selection[errors], confidence[errors], "x", color=canvas.VERMILLION, markersize=5, label="called wrong")
    axes.plot(
        selection[exits],
        confidence[exits],
        "o",
        color=canvas.VERMILLION,
        markersize=9,
        markerfacecolor="none",
        label="called wrong and exits",
    )
