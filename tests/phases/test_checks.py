"""Checks that more than one phase must pass."""

from __future__ import annotations

import numpy as np
import pytest

from stage1_core.acceptance import RiskCheck, Verdict
from stage1_core.metrics.suite import Evaluation, model_quality
from stage1_core.phases.checks import accuracy_check, certificate_checks
from stage1_core.policy import NoExit, SoftmaxPolicyConfig
from stage1_core.policy.certify import NotSearched
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.policy.evaluation import evaluate
from stage1_core.policy.softmax import ThresholdExit
from stage1_core.predictions import Predictions
from stage1_core.splits import Purpose
from tests.toys import make_predictions, predictions_of

CONSTRAINT = RiskConstraint()


def final(rows: Predictions) -> Evaluation:
    """Where everything exits."""
    return evaluate(ThresholdExit(exit_threshold=0.5), rows, CONSTRAINT.confidence).evaluation


def final_rows(missed: int, false_alarms: int = 0) -> Predictions:
    margins = np.concatenate([np.full(missed, -1.0), np.full(100 - missed, 1.0)])
    margins = np.concatenate([margins, np.full(false_alarms, 1.0), np.full(100 - false_alarms, -1.0)])
    return predictions_of(margins, np.repeat([1, 0], 100), purpose=Purpose.FINAL_EVALUATION)


@pytest.fixture
def certify(rng) -> Predictions:
    return make_predictions(rng, 2000, separation=1.5)


@pytest.fixture
def policy(rng, certify):
    return SoftmaxPolicyConfig().fit(
        make_predictions(rng, 2000, purpose=Purpose.SELECT_MODEL, name="order", separation=1.5), certify, CONSTRAINT
    )


def test_a_certified_policy_passes(policy, certify):
    checks = certificate_checks(CONSTRAINT, policy, certify, final(final_rows(0)), min_coverage=0.1)
    assert [check.verdict for check in checks] == [Verdict.PASS] * 3
    assert checks[1].value == policy.coverage


def test_less_coverage_than_demanded_fails(policy, certify):
    _, coverage, _ = certificate_checks(CONSTRAINT, policy, certify, final(final_rows(0)), min_coverage=0.999)
    assert coverage.verdict is Verdict.FAIL


@pytest.mark.parametrize(("missed", "verdict"), [(2, Verdict.PASS), (4, Verdict.PASS), (6, Verdict.FAIL)])
def test_final_rows_contradict_only_by_their_lower_bound(policy, certify, missed, verdict):
    *_, test = certificate_checks(CONSTRAINT, policy, certify, final(final_rows(missed)), min_coverage=0)
    assert test.verdict is verdict


def test_the_risk_that_was_certified_is_the_one_that_final_rows_may_contradict(policy, certify):
    constraint = RiskConstraint(risk="exit_error")
    for rows, verdict in ((final_rows(0, false_alarms=20), Verdict.FAIL), (final_rows(0), Verdict.PASS)):
        *_, test = certificate_checks(constraint, policy, certify, final(rows), min_coverage=0)
        assert test.verdict is verdict


def test_rows_of_a_drive_count_once(policy, certify):
    drives = np.char.add("drive ", (np.arange(2000) % 100).astype(np.str_))
    rows = Predictions(certify.purpose, certify.scores, certify.labels, drives, certify.sources)
    risk, coverage, _ = certificate_checks(CONSTRAINT, policy, rows, final(final_rows(0)), min_coverage=0)
    assert isinstance(risk, RiskCheck)
    assert risk.risk.trials <= 100
    assert coverage.trials == len(rows.independent()) <= 200


def test_a_policy_without_exits_says_what_was_missing(certify):
    nothing = NoExit(constraint=CONSTRAINT, sweep_results=(), shortfall=NotSearched(reason="the gate is constant"))
    risk, coverage, _ = certificate_checks(CONSTRAINT, nothing, certify, final(final_rows(0)), min_coverage=0.1)
    assert risk.verdict is Verdict.INSUFFICIENT_EVIDENCE
    assert "the gate is constant" in risk.evidence
    assert coverage.verdict is Verdict.FAIL


def test_accuracy_is_held_against_its_floor():
    quality = model_quality(final_rows(10))
    for floor, verdict in ((0.95, Verdict.PASS), (0.951, Verdict.FAIL), (None, Verdict.INSUFFICIENT_EVIDENCE)):
        assert accuracy_check("accuracy", quality, floor).verdict is verdict
