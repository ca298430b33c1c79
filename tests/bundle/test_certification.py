from __future__ import annotations

import pytest

from stage1_core.bundle.certification import certificate_problem
from stage1_core.policy import SoftmaxPolicy
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.splits import Purpose
from tests.bundle.toys import fitted_policy, no_exit_policy


@pytest.fixture(scope="module")
def policy() -> SoftmaxPolicy:
    return fitted_policy()


def test_a_fitted_policy_has_no_problem(policy):
    assert certificate_problem(policy) is None


def test_nothing_is_promised_where_nothing_exits():
    assert certificate_problem(no_exit_policy()) is None


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"events": 0}, "the counts give"),
        ({"trials": 10_000}, "the counts give"),
        ({"upper_bound": 0.019}, "the counts give"),
        ({"p_value": 0.2}, "the p-value 0.2 must lie"),
        ({"p_value": 0.0}, "the p-value 0 must lie"),
        ({"purpose": Purpose.SELECT_MODEL}, "cannot certify"),
        ({"constraint": RiskConstraint(max_risk=0.001)}, "above the ceiling"),
    ],
)
def test_a_certificate_that_does_not_follow_from_its_counts_is_found(policy, changes, problem):
    changed = policy.model_copy(update={"certificate": policy.certificate.model_copy(update=changes)})
    assert problem in certificate_problem(changed)


def test_a_threshold_that_was_never_certified_is_found(policy):
    assert "not among the certified" in certificate_problem(policy.model_copy(update={"exit_threshold": 0.5}))
