from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stage1_core.acceptance import CountedRisk, Verdict
from stage1_core.metrics.risk import RISKS
from stage1_core.metrics.suite import ExitQuality, ModelQuality
from stage1_core.report.wording import (
    ANSWERS,
    NUMBER_NAMES,
    RISK_NAMES,
    RISK_SENTENCES,
    percent,
    points,
    readable,
    seen,
    signed,
)


@pytest.mark.parametrize(
    ("fraction", "shown"),
    [(0, "0 %"), (0.02, "2 %"), (0.0213, "2.13 %"), (0.9, "90 %"), (0.955, "95.5 %"), (1, "100 %")],
)
def test_percent_shows_up_to_two_decimals(fraction, shown):
    assert percent(fraction) == shown


@given(st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_only_exact_certainty_is_shown_as_certainty(fraction):
    assert percent(fraction) not in {"0 %", "100 %"}


def test_every_risk_and_verdict_has_words():
    counted = {name for name, field in ExitQuality.model_fields.items() if field.annotation is CountedRisk}
    assert counted == set(RISK_NAMES) == set(RISK_SENTENCES) >= set(RISKS)
    assert set(ANSWERS) == set(Verdict)


def test_every_number_of_a_model_has_a_name():
    listed = {"rows", "positives", "risk_at_coverage", "coverage_at_risk"}
    assert set(NUMBER_NAMES) == set(ModelQuality.model_fields) - listed


@pytest.mark.parametrize(
    ("difference", "shown"),
    [
        (0.031, "+3.1 points"),
        (-0.2, "−20 points"),
        (0, "±0 points"),
        (0.00001, "+0.001 points"),
        (-0.1234, "−12.34 points"),
    ],
)
def test_a_difference_of_fractions_is_told_in_points_with_its_sign(difference, shown):
    assert points(difference) == shown


@pytest.mark.parametrize(("difference", "shown"), [(0.00312, "+0.0031"), (-0.1, "−0.1000"), (0, "±0.0000")])
def test_a_difference_without_unit_has_its_sign(difference, shown):
    assert signed(difference) == shown


def test_a_rate_without_trials_is_undefined():
    assert seen(0, 0) == "undefined (0 trials)"
    assert seen(0, 50) == "0 % (0 of 50)"


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("certified fnr_on_exited", "certified FNR on exited"),
        ("val_test does not contradict", "VAL_TEST does not contradict"),
        ("the rejection of coverage", "the rejection of coverage"),
        ("my_fnr_on_exited_2", "my_fnr_on_exited_2"),
        ("lower end of the 90% interval", "lower end of the 90\u00a0% interval"),
        ("100 %, a % and %s", "100 %, a % and %s"),
    ],
)
def test_a_stored_text_is_shown_with_the_words_of_people(stored, shown):
    assert readable(stored) == shown
