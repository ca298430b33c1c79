from __future__ import annotations

import numpy as np
import pytest

from stage1_core.metrics.risk_coverage import augrc
from stage1_core.report.figures.canvas import png_bytes
from stage1_core.report.figures.ranking import BAND_COVERAGES, rankings, risk_coverage


def _lines(figure, label):
    return [[line for line in axes.lines if str(line.get_label()).startswith(label)] for axes in figure.axes]


def _legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def _band(axes):
    """The outline of the first band as x to (lowest, highest)."""
    outline = axes.collections[0].get_paths()[0].vertices
    places = {}
    for x, y in outline:
        low, high = places.get(round(x, 6), (y, y))
        places[round(x, 6)] = (min(low, y), max(high, y))
    return places


def test_the_operating_point_lies_on_both_curves(make_rows, certified):
    figure = risk_coverage(make_rows(500), certified)
    for (ring,), (curve,) in zip(_lines(figure, "operating point"), _lines(figure, "by confidence"), strict=True):
        points = {(round(x, 9), round(y, 9)) for x, y in curve.get_xydata()}
        assert (round(ring.get_xdata()[0], 9), round(ring.get_ydata()[0], 9)) in points


def test_a_gates_operating_point_lies_on_the_gates_curve(make_gated_rows, gate):
    figure = risk_coverage(make_gated_rows(600), gate)
    (ring,), (curve,) = _lines(figure, "operating point")[0], _lines(figure, "by gate")[0]
    points = {(round(x, 9), round(y, 9)) for x, y in curve.get_xydata()}
    assert (round(ring.get_xdata()[0], 9), round(ring.get_ydata()[0], 9)) in points


def test_the_two_risks_differ_by_the_coverage(make_rows, certified):
    selective, generalized = (lines[0] for lines in _lines(risk_coverage(make_rows(300), certified), "by confidence"))
    coverage, joint = generalized.get_data()
    np.testing.assert_allclose(selective.get_ydata() * coverage[1:], joint[1:])


def test_the_band_encloses_the_curve_and_is_drawn_from_a_fixed_seed(make_rows, certified):
    rows = make_rows(500)
    figure = risk_coverage(rows, certified)
    (curve,) = _lines(figure, "by confidence")[0]
    x, y = curve.get_data()
    band = _band(figure.axes[0])
    inside = 0
    for share in BAND_COVERAGES:
        low, high = band[round(share, 6)]
        value = y[np.searchsorted(x, share - 1e-9)]
        inside += low - 1e-9 <= value <= high + 1e-9
    assert inside >= 0.95 * len(BAND_COVERAGES)
    assert band == _band(risk_coverage(rows, certified).axes[0])


def test_rows_of_one_group_are_resampled_together(make_rows, certified):
    rows = make_rows(500)
    tied = type(rows)(
        rows.purpose, rows.scores, rows.labels, np.array([f"{i // 10}" for i in range(500)]), rows.sources
    )
    assert _band(risk_coverage(rows, certified).axes[0]) != _band(risk_coverage(tied, certified).axes[0])


def test_without_exits_the_exit_error_is_undefined_and_nothing_is_marked(make_rows, no_exit):
    figure = risk_coverage(make_rows(200), no_exit)
    assert _lines(figure, "operating point") == [[], []]
    assert "undefined (0 trials)" in figure.axes[0].get_title(loc="left")
    assert png_bytes(figure)


def test_the_augrc_of_each_ranking_is_in_the_legend_and_n_on_the_axis(make_gated_rows, gate):
    rows = make_gated_rows(600)
    figure = risk_coverage(rows, gate)
    failure = rows.scores.likelier_class != rows.labels
    for name, values in (("confidence", rows.scores.confidence), ("gate", rows.scores.gate_logits)):
        assert f"by {name}: AUGRC {augrc(values, failure):.4f}" in _legend(figure)
    assert "n = 600" in figure.axes[1].get_xlabel()


def test_a_head_without_gate_has_one_ranking(make_rows, make_gated_rows):
    assert [ranking.name for ranking in rankings(make_rows(10))] == ["confidence"]
    assert [ranking.name for ranking in rankings(make_gated_rows(10))] == ["confidence", "gate"]


def test_no_pictures_give_a_figure_that_says_so(make_rows, certified):
    figure = risk_coverage(make_rows(0), certified)
    assert "no pictures" in figure.get_label()
    assert png_bytes(figure)


@pytest.mark.parametrize("kept", [1, 2, 300])
def test_a_model_without_errors_can_be_drawn(make_rows, certified, kept):
    rows = make_rows(400)
    perfect = rows.take(rows.scores.likelier_class == rows.labels)
    assert png_bytes(risk_coverage(perfect.take(np.arange(kept)), certified))
