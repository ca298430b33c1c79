"""What all certified policies share, tested on each."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from stage1_core.errors import PolicyError
from stage1_core.metrics.intervals import binomial_p_value, clopper_pearson_upper
from stage1_core.metrics.risk import coverage, exit_error, fnr_on_exited
from stage1_core.policy import (
    GatePolicy,
    GatePolicyConfig,
    ScrcPolicy,
    ScrcPolicyConfig,
    SoftmaxPolicy,
    SoftmaxPolicyConfig,
)
from stage1_core.policy.certify import ids_digest
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.policy.search import require_apart
from stage1_core.predictions import Predictions
from tests.policy.gated import CALIBRATE, CERTIFY, ORDER, gated_of, gated_rows, paired_rows
from tests.toys import make_predictions


def softmax(rng: np.random.Generator, constraint: RiskConstraint) -> tuple[SoftmaxPolicy, Predictions]:
    order = make_predictions(rng, 2000, purpose=ORDER, name="order")
    certify = make_predictions(rng, 2000, purpose=CERTIFY)
    policy = SoftmaxPolicyConfig().fit(order, certify, constraint)
    assert isinstance(policy, SoftmaxPolicy)
    return policy, certify


def gate(rng: np.random.Generator, constraint: RiskConstraint) -> tuple[GatePolicy, Predictions]:
    certify = gated_rows(rng, 2000, CERTIFY)
    policy = GatePolicyConfig().fit(
        gated_rows(rng, 2000, ORDER), certify, constraint, calibrate_on=gated_rows(rng, 800, CALIBRATE)
    )
    assert isinstance(policy, GatePolicy)
    return policy, certify


def scrc(rng: np.random.Generator, constraint: RiskConstraint) -> tuple[ScrcPolicy, Predictions]:
    certify = paired_rows(rng, 2000, CERTIFY)
    policy = ScrcPolicyConfig().fit(paired_rows(rng, 2000, ORDER), certify, constraint)
    assert isinstance(policy, ScrcPolicy)
    return policy, certify


each_policy = pytest.mark.parametrize("fit", [softmax, gate, scrc], ids=["softmax", "gate", "scrc"])


@each_policy
def test_every_certified_level_is_a_policy_with_its_own_numbers(fit, rng: np.random.Generator):
    policy, rows = fit(rng, RiskConstraint())
    certified = [level.threshold for level in policy.sweep_results if level.certified]
    assert len(certified) > 3
    for threshold in certified:
        other = policy.at_threshold(threshold)
        decisions = other.decide(rows.scores)
        risk = fnr_on_exited(decisions, rows.labels)
        assert other.threshold == threshold
        assert (other.certificate.events, other.certificate.trials) == (risk.events, risk.trials)
        assert other.certificate.upper_bound == clopper_pearson_upper(risk.events, risk.trials, 0.9) <= 0.02
        assert other.certificate.p_value == binomial_p_value(risk.events, risk.trials, 0.02)
        assert other.fnr_on_exits == risk.rate
        assert other.coverage == coverage(decisions, rows.labels).rate
        assert other.exit_accuracy == pytest.approx(1 - (exit_error(decisions, rows.labels).rate or 0))


@each_policy
def test_a_policy_at_its_own_level_is_itself(fit, rng: np.random.Generator):
    policy, _ = fit(rng, RiskConstraint())
    assert policy.at_threshold(policy.threshold) == policy


@each_policy
def test_a_level_that_is_not_certified_is_refused(fit, rng: np.random.Generator):
    policy, _ = fit(rng, RiskConstraint())
    failed = next(level.threshold for level in policy.sweep_results if not level.certified)
    for threshold in (failed, 0.123):
        with pytest.raises(PolicyError, match=f"{threshold:.6g} is not among the certified ones; take one of 0"):
            policy.at_threshold(threshold)


@each_policy
def test_misses_that_a_sweep_did_not_count_are_not_made_up(fit, rng: np.random.Generator):
    policy, rows = fit(rng, RiskConstraint(risk="exit_error"))
    assert policy.fnr_on_exits == fnr_on_exited(policy.decide(rows.scores), rows.labels).rate
    assert policy.at_threshold(policy.threshold).fnr_on_exits is None


@each_policy
def test_at_its_strictest_nothing_exits(fit, rng: np.random.Generator):
    policy, rows = fit(rng, RiskConstraint())
    assert policy.decide(rows.scores).exited.any()
    assert not policy.strictest().decide(rows.scores).exited.any()


@each_policy
def test_the_rule_in_words_names_the_threshold(fit, rng: np.random.Generator):
    policy, _ = fit(rng, RiskConstraint())
    assert f"≥ {policy.threshold!r} " in f"{policy.rule_in_words()} "


def test_the_order_is_learnt_on_one_row_of_each_drive_and_the_certificate_says_which(rng: np.random.Generator):
    order, certify = make_predictions(rng, 2000, purpose=ORDER, name="order"), make_predictions(rng, 2000)
    drives = np.char.add("drive ", (np.arange(2000) // 2).astype(np.str_))
    driven = dataclasses.replace(order, groups=drives)
    found, expected = (
        SoftmaxPolicyConfig().fit(rows, certify, RiskConstraint()) for rows in (driven, driven.independent())
    )
    assert found == expected
    assert found.certificate.order_rows_digest == ids_digest(driven.independent()) != ids_digest(driven)
    assert found.certificate.rows_digest == ids_digest(certify)


def test_sets_without_a_common_row_are_apart():
    one, other = (gated_of(np.zeros(3), np.zeros(3, dtype=np.int64), None, CERTIFY, name=name) for name in "ab")
    require_apart(order=one, certify=other)
    with pytest.raises(PolicyError, match=r"3 rows order and certify, e\.g\. a/0; split them apart"):
        require_apart(order=one, certify=one)
