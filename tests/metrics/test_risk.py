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
