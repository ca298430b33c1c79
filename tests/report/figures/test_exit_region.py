from __future__ import annotations

import numpy as np
import pytest
from matplotlib.patches import Rectangle
from scipy.special import logit

from stage1_core.metrics.risk import fnr_on_exited, fpr_on_exited
from stage1_core.report.figures.canvas import png_bytes
from stage1_core.report.figures.exit_region import exit_region
from tests.report import toys

CERTIFYING = toys.CONSTRAINT.countable(toys.scrc_rows(3000)[1])


@pytest.fixture(params=[False, True], ids=["alike", "roadwork sooner"])
def policy(request):
    return toys.pair_policy(sooner=request.param)


def _points(axes, label):
    (line,) = (line for line in axes.lines if line.get_label() == label)
    return np.column_stack([np.asarray(values, dtype=float) for values in line.get_data()])


def _inside(axes, points):
    """``(n,)`` whether each point lies in a shaded rectangle."""
    boxes = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    corners = np.array([box.get_xy() for box in boxes])
    return (points[:, None, :] >= corners[None]).all(axis=2).any(axis=1)


def test_the_remarks_count_what_the_policy_does(policy):
    decisions = policy.decide(CERTIFYING.scores)
    calls = policy.read(CERTIFYING.scores).label
    misses, alarms = (risk(decisions, CERTIFYING.labels).events for risk in (fnr_on_exited, fpr_on_exited))
    assert misses > 0
    for call, (axes, errors) in enumerate(
        zip(exit_region(CERTIFYING, policy).axes, (f"{misses} misses", f"{alarms} false alarms"), strict=True)
    ):
        exits = np.count_nonzero(decisions.label == call)
        texts = [text.get_text() for text in axes.texts]
        assert texts == [f"{np.count_nonzero(calls == call) - exits} go on", f"{exits} exit, {errors}"]


def test_the_misses_are_those_that_the_certificate_counts(policy):
    axes = exit_region(CERTIFYING, policy).axes[0]
    assert len(_points(axes, "called wrong and exits")) == policy.certificate.events


def test_every_picture_is_drawn_once_as_right_or_wrong(policy):
    panels = exit_region(CERTIFYING, policy).axes
    drawn = sum(len(_points(axes, label)) for axes in panels for label in ("called right", "called wrong"))
    assert drawn == len(CERTIFYING)


def test_the_shaded_region_holds_what_exits_and_nothing_else(policy):
    decisions = policy.decide(CERTIFYING.scores)
    for call, axes in enumerate(exit_region(CERTIFYING, policy).axes):
        points = np.concatenate([_points(axes, label) for label in ("called right", "called wrong")])
        assert np.count_nonzero(_inside(axes, points)) == np.count_nonzero(decisions.label == call)


def test_the_lines_stand_at_the_thresholds_and_the_legend_names_them(policy):
    figure = exit_region(CERTIFYING, policy)
    for axes in figure.axes:
        places = [np.asarray(line.get_data(), dtype=float) for line in axes.lines]
        assert any(np.allclose(x, logit(policy.lambda1)) for x, _ in places)
        assert any(np.allclose(y, logit(policy.lambda2)) for _, y in places)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert f"λ₁ = {policy.lambda1:.4g}, λ₂ = {policy.lambda2:.4g}" in names
    assert ("called roadwork: λ₁ = 0.3, λ₂ = 0.6" in names) is (policy.positives is not None)


def test_nothing_is_shaded_where_nothing_exits(policy):
    figure = exit_region(CERTIFYING, policy.strictest())
    assert all(not axes.patches for axes in figure.axes)
    assert png_bytes(figure)


def test_a_call_that_no_picture_gets_is_said_to_be_missing(policy):
    calls = policy.read(CERTIFYING.scores).label
    figure = exit_region(CERTIFYING.take(calls == 0), policy)
    assert "no pictures are called so" in [text.get_text() for text in figure.axes[1].texts]
    assert png_bytes(exit_region(CERTIFYING.take(calls == 2), policy))
