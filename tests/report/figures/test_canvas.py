from __future__ import annotations

import io

import matplotlib.pyplot as plt
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
