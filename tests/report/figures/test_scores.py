from __future__ import annotations

import numpy as np
import pytest
from matplotlib.patches import Rectangle
from scipy.special import logit

from stage1_core.predictions import Predictions, Scores
from stage1_core.report.figures.canvas import png_bytes
from stage1_core.report.figures.scores import confidence_histogram, exit_labels


def _texts(axes):
    return [text.get_text() for text in axes.texts]


def _zones(axes):
    """(left, right) of the shaded zones, which span the whole height; bars do not."""
    boxes = [p for p in axes.patches if isinstance(p, Rectangle) and p.get_alpha() is not None]
    return sorted((box.get_x(), box.get_x() + box.get_width()) for box in boxes)


def test_the_shaded_zones_begin_at_the_threshold(make_rows, certified):
    axes = confidence_histogram(make_rows(400), certified).axes[0]
    edge = logit(certified.exit_threshold)
    (_, left), (right, _) = _zones(axes)
    assert left == pytest.approx(-edge, abs=0.02)
    assert right == pytest.approx(edge, abs=0.02)


def test_nothing_is_shaded_when_nothing_exits(make_rows, no_exit):
    figure = confidence_histogram(make_rows(400), no_exit)
    assert all(_zones(axes) == [] for axes in figure.axes)
    assert png_bytes(figure)


def test_the_numbers_in_the_zones_are_the_policys_decisions(make_rows, certified):
    rows = make_rows(400)
    decided = certified.decide(rows.scores).label
    for label, axes in enumerate(confidence_histogram(rows, certified).axes):
        left, middle, right = (int(((rows.labels == label) & (decided == out)).sum()) for out in (0, -1, 1))
        assert _texts(axes) == [f"{left} exit as no roadwork", f"{middle} go on", f"{right} exit as roadwork"]


def test_exit_labels_follow_the_policy(certified):
    edge = float(logit(certified.exit_threshold)) + 1e-6
    assert exit_labels(certified, np.array([-edge, 0.0, edge])).tolist() == [0, -1, 1]


@pytest.mark.parametrize("label", [0, 1])
def test_a_class_without_pictures_is_named(make_rows, certified, label):
    rows = make_rows(100)
    figure = confidence_histogram(rows.take(rows.labels == label), certified)
    assert "no pictures of this class" in _texts(figure.axes[1 - label])
    assert png_bytes(figure)


def test_no_pictures_can_be_drawn(make_rows, certified):
    assert png_bytes(confidence_histogram(make_rows(0), certified))


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_any_spread_of_scores_gets_readable_ticks(make_rows, certified, scale):
    rows = make_rows(100)
    spread = Predictions(
        rows.purpose, Scores(rows.scores.ids, rows.scores.logits * scale), rows.labels, rows.groups, rows.sources
    )
    axes = confidence_histogram(spread, certified).axes[1]
    names = [text.get_text() for text in axes.get_xticklabels()]
    assert "0.5" in names
    assert 3 <= len(names) == len(set(names)) <= 9
