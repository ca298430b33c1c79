from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stage1_core.metrics.risk_coverage import augrc
from stage1_core.report.figures import png_bytes, risk_coverage
from stage1_core.report.figures.ranking import risk_coverage_curve

RANKED = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=40)


@given(RANKED)
def test_the_trapezoid_under_the_generalized_risk_is_augrc(rows):
    ranking = np.array([value for value, _ in rows], dtype=np.float64)
    failure = np.array([failed for _, failed in rows])
    assert np.trapezoid(*risk_coverage_curve(ranking, failure)[::-1]) == pytest.approx(augrc(ranking, failure))


@given(RANKED)
def test_each_point_is_what_a_threshold_at_that_confidence_would_do(rows):
    ranking = np.array([value for value, _ in rows], dtype=np.float64)
    failure = np.array([failed for _, failed in rows])
    kept = [ranking >= threshold for threshold in sorted(set(ranking), reverse=True)]
    coverage, generalized = risk_coverage_curve(ranking, failure)
    np.testing.assert_allclose(coverage, [0, *(mask.mean() for mask in kept)])
    np.testing.assert_allclose(generalized, [0, *((mask & failure).mean() for mask in kept)])


def _ring(figure):
    return [line for line in figure.axes[0].lines if line.get_label() == "operating point"]


def test_the_operating_point_lies_on_the_selective_risk_curve(make_rows, certified):
    figure = risk_coverage(make_rows(500), certified)
    (ring,) = _ring(figure)
    selective = next(line for line in figure.axes[0].lines if str(line.get_label()).startswith("selective"))
    points = {(round(x, 9), round(y, 9)) for x, y in selective.get_xydata()}
    assert (round(ring.get_xdata()[0], 9), round(ring.get_ydata()[0], 9)) in points


def test_without_exits_the_exit_error_is_undefined_and_nothing_is_marked(make_rows, no_exit):
    figure = risk_coverage(make_rows(200), no_exit)
    assert _ring(figure) == []
    assert "undefined (0 trials)" in figure.axes[0].get_title(loc="left")
    assert png_bytes(figure)


def test_augrc_is_in_the_legend_and_n_on_the_axis(make_rows, certified):
    figure = risk_coverage(make_rows(500), certified)
    assert any("AUGRC 0." in text.get_text() for text in figure.legends[0].get_texts())
    assert "n = 500" in figure.axes[0].get_xlabel()


def test_no_pictures_give_a_figure_that_says_so(make_rows, certified):
    figure = risk_coverage(make_rows(0), certified)
    assert "no pictures" in figure.get_label()
    assert png_bytes(figure)


def test_a_model_without_errors_can_be_drawn(make_rows, certified):
    rows = make_rows(300)
    perfect = rows.take((rows.scores.margin_logits >= 0) == (rows.labels == 1))
    assert png_bytes(risk_coverage(perfect, certified))
