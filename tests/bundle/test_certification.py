from __future__ import annotations

import pytest

from stage1_core.bundle.certification import certificate_problem
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.splits import Purpose
from tests.bundle.toys import fitted_policy, gate_policy, gated_scrc_policy, no_exit_policy, scrc_policy

FITTED = {
    "softmax": fitted_policy,
    "gate": gate_policy,
    "scrc in lambda1": scrc_policy,
    "scrc in lambda2": gated_scrc_policy,
}


@pytest.fixture(scope="module", params=FITTED)
def policy(request):
    return FITTED[request.param]()


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


def with_threshold(policy, value: float):
    name = (
        policy.sweeps if policy.kind == "scrc" else {"softmax": "exit_threshold", "gate": "gate_threshold"}[policy.kind]
    )
    return policy.model_copy(update={name: value})


def test_a_threshold_that_was_never_certified_is_found(policy):
    assert "not among the certified" in certificate_problem(with_threshold(policy, 0.5))


def test_a_threshold_with_the_certificate_of_another_level_is_found(policy):
    stricter = max(level.threshold for level in policy.sweep_results if level.certified)
    assert certificate_problem(policy.at_threshold(stricter)) is None
    assert "the threshold in force was certified on" in certificate_problem(with_threshold(policy, stricter))
