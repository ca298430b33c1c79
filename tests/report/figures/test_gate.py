from __future__ import annotations

import numpy as np
import pytest

from stage1_core.metrics.calibration_error import ece
from stage1_core.report.figures.calibration import gate_reliability
from stage1_core.report.figures.canvas import png_bytes
from stage1_core.report.figures.gate import gate_histogram
from stage1_core.report.wording import percent


def _remarks(axes):
    return [text.get_text() for text in axes.texts]


def test_the_remarks_count_what_the_policy_does(make_gated_rows, gate):
    rows = make_gated_rows(600)
    decisions = gate.decide(rows.scores)
    for label, axes in enumerate(gate_histogram(rows, gate).axes):
        mine = rows.labels == label
        wrong = np.count_nonzero(mine & decisions.exited & (decisions.label != label))
        assert _remarks(axes) == [
            f"{np.count_nonzero(mine & ~decisions.exited)} go on",
            f"{np.count_nonzero(mine & decisions.exited)} exit, {wrong} of them wrong",
        ]


def test_every_picture_is_in_the_histogram(make_gated_rows, gate):
    rows = make_gated_rows(600)
    figure = gate_histogram(rows, gate)
    drawn = sum(bar.get_height() for axes in figure.axes for bars in axes.containers for bar in bars)
    assert drawn == len(rows)


def test_a_gate_that_lets_nothing_exit_can_be_drawn(make_gated_rows, gate):
    assert png_bytes(gate_histogram(make_gated_rows(50), gate.strictest()))


def test_no_pictures_of_a_class_are_said_to_be_missing(make_gated_rows, gate):
    rows = make_gated_rows(100)
    figure = gate_histogram(rows.take(rows.labels == 0), gate)
    assert "no pictures of this class" in _remarks(figure.axes[1])
    assert png_bytes(gate_histogram(make_gated_rows(0), gate))


def test_the_gates_reliability_has_the_gates_own_error(make_gated_rows, gate):
    rows = make_gated_rows(600)
    probability = gate.probability(rows.scores)
    error = ece(probability, rows.scores.likelier_class == rows.labels)
    figure = gate_reliability(rows, gate)
    assert figure.axes[0].get_title(loc="left").startswith(f"ECE {percent(error)};")
    assert figure.axes[0].get_xlim() == pytest.approx((0, 1))
    assert "n = 600" in figure.axes[1].get_xlabel()
