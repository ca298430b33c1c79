from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stage1_core.metrics.risk import (
    RISKS,
    ConditionalRisk,
    RiskEstimate,
    coverage,
    exit_error,
    fnr_on_exited,
    fpr_on_exited,
    missed_by_exit,
    rejection,
)
from stage1_core.predictions import Decisions

Row = tuple[bool, int, int]
"""Whether the row exits, what it is called, what it is."""

ORACLES: list[tuple[ConditionalRisk, Callable[[Row], bool], Callable[[Row], bool]]] = [
    (fnr_on_exited, lambda row: row[1] == 0, lambda row: row[0] and row[2] == 1),
    (fpr_on_exited, lambda row: row[1] == 1, lambda row: row[0] and row[2] == 0),
    (exit_error, lambda row: row[1] != row[2], lambda row: row[0]),
    (missed_by_exit, lambda row: row[0] and row[1] == 0, lambda row: row[2] == 1),
    (coverage, lambda row: row[0], lambda row: True),
    (rejection, lambda row: not row[0], lambda row: True),
]


@pytest.mark.parametrize(("risk", "occurs", "applies"), ORACLES, ids=[risk.name for risk, _, _ in ORACLES])
@given(rows=st.lists(st.tuples(st.booleans(), st.integers(0, 1), st.integers(0, 1)), max_size=30))
def test_a_risk_counts_what_a_loop_counts(risk, occurs, applies, rows: list[Row]):
    events = trials = 0
    for row in rows:
        if applies(row):
            trials += 1
            events += occurs(row)
    exits, called, labels = (np.array([row[i] for row in rows], dtype=np.int64) for i in range(3))
    assert risk(Decisions.of(exits.astype(np.bool_), called), labels) == RiskEstimate(events, trials)


def test_every_risk_that_can_be_named_has_an_oracle_here():
    assert set(RISKS.values()) < {risk for risk, _, _ in ORACLES}
    assert all(RISKS[name].name == name for name in RISKS)


def test_a_rate_without_trials_is_undefined_and_its_bounds_say_nothing():
    nothing = RiskEstimate(0, 0)
    assert nothing.rate is None
    assert (nothing.lower_bound(0.9), nothing.upper_bound(0.9)) == (0, 1)


def test_no_event_is_a_rate_of_zero_with_an_upper_bound_above_it():
    estimate = RiskEstimate(0, 114)
    assert estimate.rate == 0
    assert 0.019 < estimate.upper_bound(0.9) <= 0.02


@given(rows=st.lists(st.tuples(st.booleans(), st.integers(0, 1), st.integers(0, 1)), max_size=30))
def test_the_rows_that_are_counted_are_also_told_one_by_one(rows: list[Row]):
    exits, called, labels = (np.array([row[i] for row in rows], dtype=np.int64) for i in range(3))
    decisions = Decisions.of(exits.astype(np.bool_), called)
    for risk, occurs, applies in ORACLES:
        events, trials = risk.masks(decisions, labels)
        assert trials.tolist() == [bool(applies(row)) for row in rows]
        assert events.tolist() == [bool(applies(row) and occurs(row)) for row in rows]


def test_the_joint_miss_rate_is_the_conditional_one_times_the_share_of_positives_that_exits():
    decisions = Decisions.of(np.array([True, True, False, False, True]), np.array([0, 1, 0, 1, 1]))
    labels = np.array([1, 1, 1, 1, 0])
    assert fnr_on_exited(decisions, labels) == RiskEstimate(1, 2)
    assert missed_by_exit(decisions, labels) == RiskEstimate(1, 4)


@pytest.mark.parametrize("estimate", [RiskEstimate(0, 0), RiskEstimate(0, 114), RiskEstimate(3, 40)])
def test_a_counted_risk_carries_the_bounds_of_its_estimate(estimate: RiskEstimate):
    counted = estimate.counted(0.9)
    assert (counted.events, counted.trials, counted.rate) == (estimate.events, estimate.trials, estimate.rate)
    assert counted.lower_bound == estimate.lower_bound(0.9)
    assert counted.upper_bound == estimate.upper_bound(0.9)
