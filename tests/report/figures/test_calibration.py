from __future__ import annotations

import numpy as np
import pytest

from stage1_core.metrics.calibration_error import ece
from stage1_core.report.figures.calibration import reliability, reliability_bins
from stage1_core.report.figures.canvas import png_bytes


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
