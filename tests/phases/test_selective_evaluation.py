"""What makes a selective evaluation, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from stage1_core.acceptance import AcceptanceReport, FactCheck, Verdict
from stage1_core.metrics.agreement import cross_checks
from stage1_core.metrics.suite import model_quality
from stage1_core.phases.selective_evaluation import (
    KeptHead,
    SelectiveEvaluationConfig,
    kept_head_check,
    kept_heads,
    selective_evaluation_report,
)
from stage1_core.policy import SoftmaxPolicyConfig
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.policy.evaluation import evaluate
from stage1_core.splits import Purpose
from stage1_core.training.config import historical_training
from tests.integration.toys import toy_config
from tests.toys import make_predictions, predictions_of

GOOD = model_quality(predictions_of([-2.0, 2.0, 1.0, 0.5], [0, 1, 1, 0], purpose=Purpose.SELECT_MODEL))
LOG = (
    {"AUGRC": 0.2, "Val_Acc": 75.0},
    {"AUGRC": GOOD.augrc, "Val_Acc": 50.0},
    {"AUGRC": None, "Val_Acc": None},
)


@pytest.fixture
def baseline_config(tmp_path):
    return toy_config(tmp_path)


def test_it_stands_on_its_baseline(baseline_config):
    config = SelectiveEvaluationConfig(previous=baseline_config)
    for name in ("data", "backbone", "transform", "head", "constraint"):
        assert getattr(config, name) == getattr(baseline_config, name)


def test_another_way_to_choose_the_epoch_is_refused(baseline_config):
    with pytest.raises(ValidationError, match="chooses by accuracy and keeps"):
        SelectiveEvaluationConfig(previous=baseline_config, training=historical_training())


def test_the_best_logged_values_are_found():
    by_augrc, by_accuracy = kept_heads(LOG, GOOD, GOOD)
    assert (by_augrc.logged_best, by_augrc.rescored) == (GOOD.augrc, GOOD.augrc)
    assert (by_accuracy.logged_best, by_accuracy.rescored) == (0.75, 0.75)


def test_a_stored_head_of_another_epoch_is_found_out():
    by_augrc, _ = kept_heads(({"AUGRC": 0.001, "Val_Acc": 75.0},), GOOD, GOOD)
    check = kept_head_check(by_augrc)
    assert check.verdict is Verdict.FAIL
    assert "AUGRC" in check.name


def test_a_stored_head_that_cannot_be_scored_proves_nothing():
    by_augrc, _ = kept_heads(LOG, GOOD.model_copy(update={"augrc": None}), GOOD)
    assert kept_head_check(by_augrc).verdict is Verdict.INSUFFICIENT_EVIDENCE


@pytest.mark.parametrize("logged", [0.0, 0.5], ids=["better", "worse"])
def test_a_stored_head_may_lie_on_neither_side_of_the_log(logged):
    by_augrc, _ = kept_heads(({"AUGRC": logged, "Val_Acc": 75.0},), GOOD, GOOD)
    assert 0 < GOOD.augrc < 0.5
    assert kept_head_check(by_augrc).verdict is Verdict.FAIL


class TestReport:
    @pytest.fixture
    def report(self, rng, baseline_config):
        order, certify, final = (
            make_predictions(rng, 2000, purpose=purpose, name=purpose.value)
            for purpose in (Purpose.SELECT_MODEL, Purpose.CERTIFY_UNCALIBRATED_POLICY, Purpose.FINAL_EVALUATION)
        )
        constraint = RiskConstraint()
        policy = SoftmaxPolicyConfig().fit(order, certify, constraint)
        selected = model_quality(order)
        first = baseline_config.model_copy(update={"constraint": constraint})

        def report(previous_accuracy: float | None, **changes: object) -> AcceptanceReport:
            parts = {
                "policy": policy,
                "certify_on": certify,
                "selected": selected,
                "previous": selected.model_copy(update={"accuracy": previous_accuracy}),
                "kept": kept_heads(
                    ({"AUGRC": selected.augrc, "Val_Acc": 100 * selected.accuracy},), selected, selected
                ),
                "final_rows": final,
                "final": evaluate(policy, final, 0.9).evaluation,
                "rehearsal": (),
            }
            return selective_evaluation_report(SelectiveEvaluationConfig(previous=first), **(parts | changes))

        report.accuracy = selected.accuracy
        return report

    def test_accuracy_may_fall_by_a_hundredth_and_no_further(self, report):
        assert report(report.accuracy + 0.0099).passed
        lost = report(report.accuracy + 0.0101)
        assert lost.verdict is Verdict.FAIL
        assert "accuracy against the baseline: FAIL" in lost.summary()
        assert report(None).verdict is Verdict.INSUFFICIENT_EVIDENCE

    def test_the_test_rows_numbers_are_computed_again_and_held_together(self, report):
        found = report(report.accuracy)
        names = {check.name for check in found.checks}
        assert {check.name for check in cross_checks(make_predictions(np.random.default_rng(1), 20))} <= names
        assert any("at this accuracy" in name for name in names)

    def test_rehearsals_and_stored_heads_count(self, report):
        failed = FactCheck(name="rehearsed", holds=False, evidence="")
        foreign = KeptHead(metric="AUGRC", logged_best=0.1, rescored=0.2)
        for changes, name in (({"rehearsal": (failed,)}, "rehearsed"), ({"kept": (foreign,)}, "kept by AUGRC")):
            found = report(report.accuracy, **changes)
            assert found.verdict is Verdict.FAIL
            assert name in found.summary()
