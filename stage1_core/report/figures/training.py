"""How the training went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stage1_core.predictions import Float
from stage1_core.report.figures import canvas

EpochRow = Mapping[str, float | None]


class Panel(NamedTuple):
    """One small chart: columns of ``metrics.csv`` that share a unit."""

    heading: str
    curves: tuple[tuple[str, str], ...]
    """(column, name) pairs."""


PANELS = (
    Panel("loss (nats)", (("Train_Loss", "train"), ("Val_Loss", "validation"))),
    Panel("accuracy (%)", (("Train_Acc", "train"), ("Val_Acc", "validation"))),
    Panel("ECE (fraction)", (("ECE", "validation"),)),
    Panel("learning rate", (("LR", "schedule"),)),
)
STYLES = {"train": (canvas.ORANGE, "s--"), "validation": (canvas.BLUE, "o-"), "schedule": (canvas.MUTED, "o-")}


def training_curves(epochs: Sequence[EpochRow]) -> Figure:
    """Loss, accuracy, ECE and learning rate over the rows of ``metrics.csv``; gaps where a number is undefined."""
    figure = canvas.new_figure()
    panels = figure.subplots(2, 2, sharex=True).ravel()
    numbers = _column(epochs, "Epoch")
    for axes, panel in zip(panels, PANELS, strict=True):
        canvas.dress(axes)
        canvas.title(axes, panel.heading)
        _draw(axes, panel, epochs, numbers)
        axes.xaxis.set_major_locator(canvas.whole_numbers())
        axes.yaxis.set_major_formatter(canvas.plain_numbers())
    for axes in panels[2:]:
        axes.set_xlabel(f"epoch (n = {len(epochs)})", fontsize=canvas.TEXT_POINTS, color=canvas.INK)
    return canvas.describe(figure, _words(epochs))


def _draw(axes: Axes, panel: Panel, epochs: Sequence[EpochRow], numbers: Float) -> None:
    drawn = 0
    for column, name in panel.curves:
        values = _column(epochs, column)
        if not np.isfinite(values).any():
            continue
        colour, line = STYLES[name]
        axes.plot(numbers, values, line, color=colour, linewidth=1.8, markersize=4, label=name)
        drawn += 1
    if drawn == 0:
        canvas.note(axes, "not recorded")
        axes.set_yticks([])
    elif len(panel.curves) > 1:
        canvas.legend(axes)


def _column(epochs: Sequence[EpochRow], name: str) -> Float:
    """``(len(epochs),)`` values of a column, NaN where it is absent or undefined."""
    values = [row.get(name) for row in epochs]
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _words(epochs: Sequence[EpochRow]) -> str:
    if not epochs:
        return "Training curves: no epoch was recorded."
    shown = [(column, epochs[-1].get(column)) for panel in PANELS for column, _ in panel.curves]
    last = ", ".join(f"{column} {value:.4g}" for column, value in shown if value is not None)
    return f"Training curves over {len(epochs)} epochs. Last epoch: {last}."
