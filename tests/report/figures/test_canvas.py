from __future__ import annotations

import io

import matplotlib.pyplot as plt
import pytest
from matplotlib.figure import Figure
from PIL import Image

from stage1_core.report.figures import canvas
from stage1_core.report.figures.canvas import png_bytes, save_png


def _drawn(colour: str = canvas.BLUE) -> Figure:
    figure = canvas.new_figure()
    axes = figure.add_subplot()
    canvas.dress(axes, x="x (seconds)", y="y (fraction)")
    axes.plot([0, 1], [0, 1], color=colour)
    return canvas.describe(figure, "A rising line – from 0 to 1.")


def test_the_same_figure_drawn_twice_gives_the_same_bytes():
    assert png_bytes(_drawn()) == png_bytes(_drawn())


def test_saving_a_figure_again_gives_the_same_bytes(tmp_path):
    figure = _drawn()
    save_png(figure, tmp_path / "first.png")
    save_png(figure, tmp_path / "second.png")
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()


def test_another_figure_gives_other_bytes():
    assert png_bytes(_drawn()) != png_bytes(_drawn(canvas.ORANGE))


def test_a_png_carries_its_description_and_neither_time_nor_software():
    with Image.open(io.BytesIO(png_bytes(_drawn()))) as image:
        assert image.text == {"Description": "A rising line – from 0 to 1."}


def test_figures_leave_nothing_in_pyplot():
    png_bytes(_drawn())
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("fraction", "shown"),
    [
        (0.02, "2 %"),
        (0.005, "0.5 %"),
        (0.1 + 0.2, "30 %"),
        (-0.0, "0 %"),
        (1e-19, "0 %"),
        (1, "100 %"),
        (-0.02, "−2 %"),
    ],
)
def test_percent_ticks_have_no_empty_decimals(fraction, shown):
    axes = canvas.new_figure().add_subplot()
    canvas.percent_axis(axes, "x")
    assert axes.xaxis.get_major_formatter()(fraction) == shown


@pytest.mark.parametrize(("value", "shown"), [(-50.0, "−50"), (-0.25, "−0.25"), (1000.0, "1,000"), (0.05, "0.05")])
def test_plain_ticks_have_a_minus_sign(value, shown):
    assert canvas.plain_numbers()(value) == shown
