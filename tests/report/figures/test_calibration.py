from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from stage1_core.metrics.calibration_error import ece
from stage1_core.report.figures.calibration import reliability, reliability_bins, roadwork_reliability
from stage1_core.report.figures.canvas import png_bytes
from stage1_core.report.wording import percent


def _correct(rows):
    return (rows.scores.margin_logits >= 0) == (rows.labels == 1)


def test_the_bins_are_those_of_the_reported_ece(make_rows):
    rows = make_rows(700)
    likelier, correct = rows.scores.confidence, _correct(rows)
    bins = reliability_bins(likelier, correct)
    again = sum(b.rows * abs(b.accuracy - b.mean_confidence) for b in bins) / len(rows)
    assert again == pytest.approx(ece(likelier, correct, 10))


def test_every_row_lies_in_one_bin(make_rows):
    bins = reliability_bins(make_rows(700).scores.confidence, _correct(make_rows(700)))
    assert sum(b.rows for b in bins) == 700


def test_a_confidence_on_an_edge_belongs_to_the_lower_bin():
    (only,) = reliability_bins(np.array([0.8]), np.array([True]))
    assert only.middle == pytest.approx(0.75)


def test_ece_and_n_are_shown(make_rows):
    rows = make_rows(700)
    figure = reliability(rows)
    value = ece(rows.scores.confidence, _correct(rows), 10)
    assert figure.axes[0].get_title(loc="left").startswith(f"ECE {100 * value:.2f}".rstrip("0"))
    assert "n = 700" in figure.axes[1].get_xlabel()


def test_the_counts_are_written_on_the_bars(make_rows):
    rows = make_rows(700)
    written = [int(text.get_text().replace(",", "")) for text in reliability(rows).axes[1].texts]
    assert written == [b.rows for b in reliability_bins(rows.scores.confidence, _correct(rows))]


@pytest.mark.parametrize("n", [0, 1])
def test_few_or_no_pictures_can_be_drawn(make_rows, n):
    assert png_bytes(reliability(make_rows(n)))


def test_the_calibration_of_the_classes_is_shown_with_the_error_before_and_after(make_gated_rows, pair):
    rows = make_gated_rows(700)
    figure = roadwork_reliability(rows, pair)
    before, after = (expit(scores.margin_logits) for scores in (rows.scores, pair.calibrated(rows.scores)))
    errors = [percent(ece(probability, rows.labels == 1, 10)) for probability in (before, after)]
    assert errors[0] != errors[1]
    assert (
        figure.axes[0].get_title(loc="left") == f"ECE of P(roadwork): {errors[0]} before, {errors[1]} after calibration"
    )
    counted = [sum(bar.get_height() for bar in bars) for bars in figure.axes[1].containers]
    assert counted == [700, 700]


def test_no_pictures_have_no_reliability_before_or_after(make_gated_rows, pair):
    figure = roadwork_reliability(make_gated_rows(0), pair)
    assert "no pictures" in [text.get_text() for text in figure.axes[0].texts]
    assert png_bytes(figure)
