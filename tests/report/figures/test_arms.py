from __future__ import annotations

import pytest

from stage1_core.report.figures.arms import arms_figure
from stage1_core.report.figures.canvas import GREEN, VERMILLION, png_bytes
from tests.report import toys


@pytest.fixture(scope="module")
def made():
    return toys.arms(better=True)


def _bars(axes, arm):
    """Ends of the deciding and of the lone interval in the ``arm``-th row."""
    drawn = [line for line in axes.lines if len(line.get_xdata()) == 2 and set(line.get_ydata()) == {-arm}]
    thin, thick = sorted(drawn, key=lambda line: line.get_linewidth())
    return [tuple(line.get_xdata()) for line in (thin, thick)]


def test_each_arm_has_both_of_its_intervals_in_its_row(made):
    comparison, choice = made
    charts = arms_figure(comparison, choice).axes
    for axes, number, scale in zip(charts, ("augrc", "accuracy"), (1, 100), strict=True):
        for place, arm in enumerate(comparison.challengers):
            difference = getattr(comparison.to_reference[arm.name], number)
            thin, thick = _bars(axes, place)
            assert thin == pytest.approx((scale * difference.lower, scale * difference.upper))
            assert thick == pytest.approx((scale * difference.alone.lower, scale * difference.alone.upper))


def test_rows_are_named_by_their_arms(made):
    comparison, choice = made
    labels = [label.get_text() for label in arms_figure(comparison, choice).axes[0].get_yticklabels()]
    assert labels == [arm.name for arm in comparison.challengers]


def test_the_bounds_are_those_that_decide(made):
    comparison, choice = made
    for axes, bound in zip(arms_figure(comparison, choice).axes, (-0.0005, -1.0), strict=True):
        marks = [line for line in axes.lines if line.get_color() == VERMILLION]
        assert [mark.get_xdata()[0] for mark in marks] == pytest.approx([bound] * 9)


def test_only_the_chosen_arm_is_green(made):
    comparison, choice = made
    axes = arms_figure(comparison, choice).axes[0]
    rows = {line.get_ydata()[0] for line in axes.lines if line.get_color() == GREEN}
    assert [comparison.challengers[-row].name for row in rows] == [choice.chosen]


def test_the_heading_and_the_description_say_what_is_to_be_seen(made):
    comparison, choice = made
    figure = arms_figure(comparison, choice)
    assert figure.get_suptitle() == f"{choice.chosen} in place of frozen"
    assert "full: AUGRC +" in str(figure.get_label())
    assert arms_figure(*toys.arms(better=False)).get_suptitle() == "frozen stays"


def test_an_undefined_difference_is_said_to_be_undefined(made):
    comparison, choice = made
    nothing = {"value": None, "lower": None, "upper": None}
    old = comparison.to_reference["lora"]
    augrc = old.augrc.model_copy(update={"alone": old.augrc.alone.model_copy(update=nothing), "lower": None})
    changed = comparison.to_reference | {"lora": old.model_copy(update={"augrc": augrc})}
    figure = arms_figure(comparison.model_copy(update={"to_reference": changed}), choice)
    assert "undefined" in [text.get_text() for text in figure.axes[0].texts]
    assert png_bytes(figure)
