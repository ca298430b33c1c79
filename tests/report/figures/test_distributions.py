from __future__ import annotations

import numpy as np
import pytest

from stage1_core.report.figures.canvas import png_bytes
from stage1_core.report.figures.distributions import augrc_distribution, exit_distributions


def _verticals(axes):
    return {str(line.get_label()): line.get_xdata()[0] for line in axes.lines}


def _bars(axes):
    """Counts of a histogram, without the shaded interval, which spans the whole height."""
    return [patch.get_height() for patch in axes.patches if patch.get_label() != "95 % interval"]


def test_every_resample_is_in_the_histogram(make_rows, certified, measure):
    measured = measure(certified, make_rows(300))
    (axes,) = augrc_distribution(measured).axes
    assert sum(_bars(axes)) == len(measured.draws["augrc"])


def test_value_and_interval_are_those_of_the_evaluation(make_rows, certified, measure):
    measured = measure(certified, make_rows(300))
    interval = measured.evaluation.intervals["augrc"]
    (axes,) = augrc_distribution(measured).axes
    assert _verticals(axes)["value on the rows themselves"] == pytest.approx(interval.value)
    (span,) = [patch for patch in axes.patches if patch.get_label() == "95 % interval"]
    assert (span.get_x(), span.get_x() + span.get_width()) == pytest.approx((interval.lower, interval.upper))
    assert f"{interval.lower:.4f} to {interval.upper:.4f}" in axes.get_title(loc="left")


def test_a_gate_has_its_own_distribution_on_the_same_scale(make_gated_rows, gate, measure):
    figure = augrc_distribution(measure(gate, make_gated_rows(300)))
    assert [axes.get_title(loc="left").split(" 0.")[0] for axes in figure.axes] == [
        "AUGRC ranked by confidence",
        "AUGRC ranked by the gate",
    ]
    assert figure.axes[0].get_xlim() == figure.axes[1].get_xlim()


def test_ceiling_and_exact_bound_stand_beside_the_resampled_risk(make_rows, certified, measure, constraint):
    measured = measure(certified, make_rows(600))
    marks = _verticals(exit_distributions(measured, constraint).axes[0])
    bound = measured.evaluation.exits.fnr_on_exited
    assert marks["ceiling 2 %"] == constraint.max_risk
    (exact,) = [place for name, place in marks.items() if name.startswith("exact 90 % upper bound")]
    assert exact == pytest.approx(bound.upper_bound)


def test_the_constrained_risk_is_the_one_that_is_shown(make_rows, certified, measure, constraint):
    other = constraint.model_copy(update={"risk": "exit_error"})
    figure = exit_distributions(measure(certified, make_rows(300)), other)
    assert figure.axes[0].get_title(loc="left").startswith("Exit error ")


def test_without_exits_the_risk_is_undefined_and_the_coverage_constant(make_rows, no_exit, measure, constraint):
    figure = exit_distributions(measure(no_exit, make_rows(200)), constraint)
    risk, coverage = figure.axes
    assert "undefined in every resample" in [text.get_text() for text in risk.texts]
    assert risk.get_title(loc="left") == "FNR on exited undefined"
    assert not [name for name in _verticals(risk) if name.startswith("exact")]
    assert sum(_bars(coverage)) == 200
    assert png_bytes(figure)


def test_an_evaluation_of_no_rows_can_be_drawn(make_rows, certified, measure, constraint):
    measured = measure(certified, make_rows(0))
    assert np.isnan(measured.draws["augrc"]).all()
    assert png_bytes(augrc_distribution(measured))
    assert png_bytes(exit_distributions(measured, constraint))


def test_the_interval_lies_behind_the_bars(make_rows, certified, measure):
    (axes,) = augrc_distribution(measure(certified, make_rows(300))).axes
    (span,) = [patch for patch in axes.patches if patch.get_label() == "95 % interval"]
    assert all(span.get_zorder() < patch.get_zorder() for patch in axes.patches if patch is not span)


def test_the_legend_of_many_rows_stays_on_the_paper(make_rows, certified, measure, constraint):
    measured = measure(certified, make_rows(300))
    bound = measured.evaluation.exits.fnr_on_exited.model_copy(update={"trials": 1_234_567})
    exits = measured.evaluation.exits.model_copy(update={"fnr_on_exited": bound})
    figure = exit_distributions(
        measured._replace(evaluation=measured.evaluation.model_copy(update={"exits": exits})), constraint
    )
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= figure.bbox.x0
    assert box.x1 <= figure.bbox.x1
