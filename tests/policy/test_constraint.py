from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from stage1_core.metrics.intervals import binomial_p_value
from stage1_core.metrics.risk import RISKS
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.predictions import Decisions
from tests.toys import predictions_of

LABELS = np.repeat([1, 0], 200)
CALLED = np.where(np.arange(400) < 1, 0, LABELS)  # one positive of 200 is called 0
CALLED[390:] = 1  # ten negatives of 200 are called 1
DECISIONS = Decisions.of(np.ones(400, dtype=np.bool_), CALLED)


def test_without_guards_only_the_risk_decides():
    constraint = RiskConstraint()
    assert constraint.p_value(DECISIONS, LABELS) == binomial_p_value(1, 200, 0.02)
    assert len(constraint.demands(DECISIONS, LABELS)) == 1


@pytest.mark.parametrize(
    ("guards", "expected"),
    [
        ({"max_exit_error": 0.03}, (11, 400, 0.03)),
        ({"max_fpr_on_exited": 0.06}, (10, 200, 0.06)),
        ({"max_exit_error": 0.2, "max_fpr_on_exited": 0.06}, (10, 200, 0.06)),
        ({"max_exit_error": 0.5}, (1, 200, 0.02)),
    ],
)
def test_the_hardest_demand_gives_the_p_value(guards: dict[str, float], expected: tuple[int, int, float]):
    assert RiskConstraint(**guards).p_value(DECISIONS, LABELS) == binomial_p_value(*expected)


@pytest.mark.parametrize(
    ("promise", "rows", "in_words"),
    [
        ({}, 4, "one row of each group and class"),
        ({"max_fpr_on_exited": 0.1}, 4, "one row of each group and class"),
        ({"max_exit_error": 0.1}, 3, "one row of each group"),
        ({"risk": "exit_error"}, 3, "one row of each group"),
        ({"risk": "exit_error", "counting": "every_row"}, 6, "every row, as if all were independent"),
    ],
)
def test_a_promise_that_pools_labels_counts_each_group_once(promise: dict[str, object], rows: int, in_words: str):
    constraint = RiskConstraint.model_validate(promise)
    drawn = predictions_of(np.zeros(6), np.array([1, 0, 1, 1, 1, 0]), groups=np.array(list("aaabbc")))
    assert len(constraint.countable(drawn)) == rows
    assert constraint.counted_in_words == in_words


@pytest.mark.parametrize(
    ("promise", "bounded"),
    [({}, False), ({"max_fpr_on_exited": 0.1}, True), ({"max_exit_error": 0.1}, True), ({"risk": "exit_error"}, True)],
)
def test_what_bounds_false_alarms(promise: dict[str, object], bounded: bool):
    assert RiskConstraint.model_validate(promise).bounds_false_alarms == bounded


def test_the_named_risk_is_the_one_that_is_counted():
    for name in ("fnr_on_exited", "exit_error"):
        constraint = RiskConstraint.model_validate({"risk": name})
        assert constraint.estimate(DECISIONS, LABELS) == RISKS[name](DECISIONS, LABELS)


def test_the_joint_reading_cannot_be_promised_in_place_of_the_conditional_one():
    with pytest.raises(ValidationError, match="fnr_on_exited"):
        RiskConstraint.model_validate({"risk": "missed_by_exit"})


@pytest.mark.parametrize("edit", [{"max_risk": 0.0}, {"max_risk": 0.2}, {"confidence": 1.0}, {"confidence": 0.4}])
def test_a_promise_out_of_bounds_is_refused(edit: dict[str, float]):
    with pytest.raises(ValidationError):
        RiskConstraint(**edit)


def test_a_certified_rate_of_nothing_is_no_certificate():
    nothing = Decisions.of(np.zeros(400, dtype=np.bool_), CALLED)
    assert RiskConstraint().p_value(nothing, LABELS) == 1
