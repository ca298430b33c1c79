"""Paper, ink and bytes: what all figures share."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

INK = "#1f2933"
MUTED = "#66717e"
GREYED = "#b4bcc5"
GRID = "#e4e8ec"
INTERVAL = "#e9ecef"
BLUE = "#0072b2"
ORANGE = "#e69f00"
VERMILLION = "#d55e00"
GREEN = "#009e73"
"""Hues of the Okabe-Ito palette: told apart by people with any common colour blindness."""

SIZE_INCHES = (8.0, 5.2)
"""One size, so that figures stand side by side."""
DOTS_PER_INCH = 150
TEXT_POINTS = 12
SMALL_POINTS = 11
TITLE_POINTS = 13
"""Sizes that can be read where a figure is shown at half its size."""

Side = Literal["left", "center", "right"]


def new_figure() -> Figure:
    """A white figure with constrained layout. No pyplot: nothing global is read later or left behind."""
    return Figure(figsize=SIZE_INCHES, dpi=DOTS_PER_INCH, layout="constrained", facecolor="white")


def dress(axes: Axes, *, x: str | None = None, y: str | None = None, grid: Literal["x", "y", "both"] = "y") -> None:
    """Quiet frame, light grid, axis labels with units."""
    axes.set_facecolor("white")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(MUTED)
    axes.grid(True, axis=grid, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, labelcolor=INK, labelsize=TEXT_POINTS)
    if x is not None:
        axes.set_xlabel(x, fontsize=TEXT_POINTS, color=INK)
    if y is not None:
        axes.set_ylabel(y, fontsize=TEXT_POINTS, color=INK)


def title(axes: Axes, text: str) -> None:
    """Left-aligned heading that says what is to be seen."""
    axes.set_title(text, loc="left", fontsize=TITLE_POINTS, color=INK, fontweight="bold", pad=10)


def legend(axes: Axes) -> None:
    """Legend inside the frame on a light ground, for small charts."""
    axes.legend(fontsize=SMALL_POINTS, labelcolor=INK, framealpha=0.92, edgecolor=GRID, fancybox=False)


def legend_below(axes: Axes) -> None:
    """Legend under the axes, where it can hide no data."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    handles, _ = axes.get_legend_handles_labels()
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=2,
        fontsize=SMALL_POINTS,
        handlelength=1.5,
        columnspacing=1.2,
        labelcolor=INK,
        frameon=False,
    )


def ring(axes: Axes, x: float, y: float, *, colour: str, label: str) -> None:
    """Mark the one point that a figure is about."""
    axes.plot(
        x,
        y,
        "o",
        markersize=11,
        linestyle="none",
        markerfacecolor="white",
        markeredgecolor=colour,
        markeredgewidth=2.5,
        label=label,
    )


def finding(figure: Figure, text: str) -> None:
    """Left-aligned heading of a figure of several charts: what is to be seen."""
    figure.suptitle(text, x=0.012, ha="left", fontsize=TITLE_POINTS, color=INK, fontweight="bold")


def corner(axes: Axes, text: str, *, side: Side, alarm: bool = False) -> None:
    """A remark under the upper edge of the axes; an alarm is set in bold vermillion."""
    axes.text(
        {"left": 0.01, "center": 0.5, "right": 0.99}[side],
        0.95,
        text,
        transform=axes.transAxes,
        ha=side,
        va="top",
        fontsize=SMALL_POINTS,
        color=VERMILLION if alarm else INK,
        fontweight="bold" if alarm else "normal",
    )


def note(axes: Axes, text: str) -> None:
    """Say in the middle of empty axes why they are empty."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", fontsize=TEXT_POINTS, color=MUTED)


def percent_axis(axes: Axes, which: Literal["x", "y"]) -> None:
    """Show fractions as percent, without decimals that say nothing: 0.005 is "0.5 %", 0.6 is "60 %"."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    # The rounding takes away what is left of sums of binary fractions, the addition a negative zero.
    axis.set_major_formatter(FuncFormatter(lambda value, _: _minus(f"{round(100 * value, 6) + 0.0:g} %")))


def whole_numbers(most: int = 6) -> MaxNLocator:
    """Few ticks, all of them whole: for counts and epochs."""
    return MaxNLocator(nbins=most, integer=True)


def plain_numbers() -> FuncFormatter:
    """Ticks as people write them: 1,000, −20 and 0.05, with an exponent only below 0.0001."""
    return FuncFormatter(lambda value, _: _minus(f"{value:,.0f}" if value == round(value) else f"{value:.3g}"))


def _minus(number: str) -> str:
    """A hyphen in front of the number becomes a minus sign."""
    return f"−{number[1:]}" if number.startswith("-") else number


def describe(figure: Figure, text: str) -> Figure:
    """Attach the text that stands for the figure where it cannot be seen."""
    figure.set_label(text)
    return figure


def png_bytes(figure: Figure) -> bytes:
    """PNG of the figure. The same figure gives the same bytes: no time, no software name; its description is kept."""
    metadata: dict[str, str | None] = {"Software": None}
    description = str(figure.get_label())
    if description:
        metadata["Description"] = description
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, facecolor="white", metadata=metadata)
    return buffer.getvalue()


def save_png(figure: Figure, path: Path) -> None:
    """Write `png_bytes` to ``path``, whose folder must exist."""
    path.write_bytes(png_bytes(figure))
