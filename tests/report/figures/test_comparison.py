from __future__ import annotations

import pytest

from stage1_core.metrics.bootstrap import Interval
from stage1_core.report.figures.canvas import png_bytes
from stage1_core.report.figures.comparison import BETTER, comparison_figure
from tests.report import toys


def _strips(figure):
    """(values, difference) of each row, from top to bottom."""
    return list(zip(figure.axes[0::2], figure.axes[1::2], strict=True))


def test_each_rate_is_drawn_with_its_exact_bounds(compared):
    for (values, _), name in zip(_strips(comparison_figure(compared)), BETTER, strict=True):
        for container, side in zip(values.containers, (compared.incumbent, compared.challenger), strict=True):
            risk = getattr(side.exits, name)
            point, _, (bar,) = container
            assert point.get_xdata()[0] == pytest.approx(risk.rate)
            ends = sorted(x for x, _ in bar.get_segments()[0])
            assert ends == pytest.approx([risk.lower_bound, risk.upper_bound])


def test_each_difference_is_drawn_in_points_around_zero(compared):
    for (_, change), name in zip(_strips(comparison_figure(compared)), BETTER, strict=True):
        difference = compared.differences[name]
        ((point, _, (bar,)),) = change.containers
        assert point.get_xdata()[0] == pytest.approx(100 * difference.value)
        ends = sorted(x for x, _ in bar.get_segments()[0])
        assert ends == pytest.approx([100 * difference.lower, 100 * difference.upper])
        low, high = change.get_xlim()
        assert low == -high


def test_the_three_rates_share_a_scale_that_starts_at_zero(compared):
    limits = {values.get_xlim() for values, _ in _strips(comparison_figure(compared))[1:]}
    assert len(limits) == 1
    assert limits.pop()[0] == 0


def test_an_undefined_side_or_difference_is_said_to_be_undefined(compared):
    nothing = compared.incumbent.exits.fpr_on_exited.model_copy(
        update={"events": 0, "trials": 0, "lower_bound": 0.0, "upper_bound": 1.0}
    )
    exits = compared.incumbent.exits.model_copy(update={"fpr_on_exited": nothing})
    undefined = Interval(value=None, mean=None, std=None, lower=None, upper=None, method="percentile", resamples=0)
    changed = compared.model_copy(
        update={
            "incumbent": compared.incumbent.model_copy(update={"exits": exits}),
            "differences": {**compared.differences, "fpr_on_exited": undefined, "coverage": undefined},
        }
    )
    figure = comparison_figure(changed)
    values, change = _strips(figure)[1]
    assert "softmax: undefined (0 trials)" in [text.get_text() for text in values.texts]
    assert "undefined" in [text.get_text() for text in change.texts]
    assert "coverage difference undefined" in figure.get_suptitle()
    assert png_bytes(figure)


def test_rows_groups_and_level_are_on_the_axes(compared):
    figure = comparison_figure(compared)
    assert f"n = {compared.rows:,}, {compared.groups:,} groups" in figure.axes[-2].get_xlabel()
    assert "90 % intervals" in figure.axes[-1].get_xlabel()


def test_a_policy_without_exits_is_said_to_let_nothing_exit_and_has_no_empty_scales():
    strips = _strips(comparison_figure(toys.comparison_without_exits()))
    for values, change in strips[1:]:
        assert "gate: undefined (nothing exits)" in [text.get_text() for text in values.texts]
        assert not change.axison
    assert strips[0][1].axison
    assert "90 % intervals" in strips[0][1].get_xlabel()
