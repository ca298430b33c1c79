from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta

from stage1_core.errors import PolicyError
from stage1_core.policy import NoExit
from stage1_core.policy.certify import SweepLevel
from stage1_core.report.figures.canvas import png_bytes
from stage1_core.report.figures.sweep import certificate_sweep


def _line(figure, label):
    """x and y of the one line whose label begins with ``label``; None where it is not drawn."""
    lines = [line for line in figure.axes[0].lines if str(line.get_label()).startswith(label)]
    assert len(lines) <= 1
    return tuple(np.asarray(values, dtype=float) for values in lines[0].get_data()) if lines else None


def _level(threshold, exited, events, trials, *, certified, p_value=0.5):
    return SweepLevel(
        threshold=threshold,
        exited=exited,
        rows=400,
        events=events,
        trials=trials,
        exit_errors=events,
        p_value=p_value,
        certified=certified,
    )


def test_the_bound_of_each_tested_level_is_clopper_and_pearsons(certified, constraint):
    coverage, bounds = _line(certificate_sweep(certified, constraint), "exact 90 % upper bound")
    levels = certified.sweep_results[: len(bounds)]
    expected = [beta.ppf(0.9, level.events + 1, level.trials - level.events) for level in levels]
    np.testing.assert_allclose(bounds, expected)
    np.testing.assert_allclose(coverage, [level.exited / level.rows for level in levels])


def test_the_operating_point_is_the_certified_one(certified, constraint):
    coverage, bound = _line(certificate_sweep(certified, constraint), "operating point")
    assert coverage.item() == pytest.approx(certified.coverage)
    assert bound.item() == pytest.approx(certified.certificate.upper_bound)


def test_a_gates_operating_point_is_the_level_in_force_not_the_laxest(gate, constraint):
    levels = [level for level in gate.sweep_results if level.certified]
    stricter = gate.at_threshold(levels[0].threshold)
    coverage, bound = _line(certificate_sweep(stricter, constraint), "operating point")
    assert coverage.item() == pytest.approx(levels[0].exited / levels[0].rows)
    assert coverage.item() < gate.coverage
    assert bound.item() == pytest.approx(stricter.certificate.upper_bound)


def test_a_threshold_that_was_not_certified_cannot_be_drawn(certified, constraint):
    with pytest.raises(PolicyError, match="not among the certified ones"):
        certificate_sweep(certified.strictest(), constraint)


def test_levels_behind_the_first_failure_are_not_drawn_as_tested(certified, constraint):
    figure = certificate_sweep(certified, constraint)
    passed = sum(level.certified for level in certified.sweep_results)
    assert passed + 1 < len(certified.sweep_results)
    assert len(_line(figure, "exact 90 % upper bound")[0]) == passed + 1
    assert len(_line(figure, "behind the first failure")[0]) == len(certified.sweep_results) - passed


def test_the_ceiling_is_drawn_inside_the_frame(certified, no_exit, constraint):
    for policy in (certified, no_exit):
        axes = certificate_sweep(policy, constraint).axes[0]
        assert any(np.allclose(line.get_ydata(), constraint.max_risk) for line in axes.lines)
        assert axes.get_ylim()[1] > constraint.max_risk


def test_without_a_certificate_no_operating_point_is_marked(no_exit, constraint):
    figure = certificate_sweep(no_exit, constraint)
    assert _line(figure, "operating point") is None
    assert _line(figure, "first failure") is not None
    assert figure.axes[0].get_title(loc="left").startswith("Nothing certified")


def test_a_level_without_trials_has_a_bound_but_no_observed_rate(no_exit, constraint):
    level = _level(0.99, 3, 0, 0, certified=False, p_value=1.0)
    figure = certificate_sweep(no_exit.model_copy(update={"sweep_results": (level,)}), constraint)
    assert np.isnan(_line(figure, "observed")[1]).all()
    assert _line(figure, "exact 90 % upper bound")[1].item() == pytest.approx(1, abs=0.02)
    assert png_bytes(figure)


def test_a_failing_bound_far_above_the_ceiling_points_out_of_the_frame(certified, constraint):
    levels = (
        _level(0.99, 200, 0, 150, certified=True, p_value=0.05),
        _level(0.9, 250, 90, 180, certified=False, p_value=1.0),
    )
    policy = certified.model_copy(update={"sweep_results": levels, "exit_threshold": 0.99})
    axes = certificate_sweep(policy, constraint).axes[0]
    marker = next(line for line in axes.lines if str(line.get_label()).startswith("first failure"))
    assert marker.get_marker() == "^"
    assert np.asarray(marker.get_ydata()).max() < axes.get_ylim()[1] <= 4 * constraint.max_risk


def test_a_search_without_candidates_says_so(no_exit, constraint):
    empty: NoExit = no_exit.model_copy(update={"sweep_results": ()})
    figure = certificate_sweep(empty, constraint)
    assert "no candidate was tested" in figure.get_label()
    assert png_bytes(figure)


def test_the_axes_name_the_number_of_rows(certified, constraint):
    assert "n = 1,500" in certificate_sweep(certified, constraint).axes[0].get_xlabel()


def test_the_name_of_the_ceiling_stands_beside_its_line_where_no_curve_can_be(certified, no_exit, gate, constraint):
    for policy in (certified, no_exit, gate):
        figure = certificate_sweep(policy, constraint)
        figure.draw_without_rendering()
        (name,) = [text for text in figure.axes[0].texts if text.get_text() == "ceiling\n2 %"]
        box, frame = name.get_window_extent(), figure.axes[0].get_window_extent()
        assert frame.x1 <= box.x0 < box.x1 <= figure.bbox.x1
        line = figure.axes[0].transData.transform((0, constraint.max_risk))[1]
        assert (box.y0 + box.y1) / 2 == pytest.approx(line, abs=5)


def test_the_legend_of_large_counts_stays_on_the_paper(certified, constraint):
    levels = (_level(0.987654321, 390, 10_234, 876_543, certified=True, p_value=0.05),)
    policy = certified.model_copy(update={"sweep_results": levels, "exit_threshold": 0.987654321})
    figure = certificate_sweep(policy, constraint)
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= figure.bbox.x0
    assert box.x1 <= figure.bbox.x1


def test_the_axis_and_the_operating_point_name_the_threshold_in_which_levels_differ(certified, scrc, pair, constraint):
    names = {
        certified: "exit threshold τ",
        scrc: "threshold λ₁ on P(stage A is right)",
        pair: "threshold λ₂ on the cal",
    }
    for policy, name in names.items():
        figure = certificate_sweep(policy, constraint)
        (upper,) = figure.axes[0].child_axes
        assert upper.get_xlabel().startswith(name)
        assert upper.get_xlabel().endswith("strict → lax")
        symbol = next(symbol for symbol in ("τ", "λ₁", "λ₂") if symbol in name)
        assert _line(figure, f"operating point {symbol} = {policy.threshold:.5g}") is not None
