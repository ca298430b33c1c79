"""When a gate's training and its release are accepted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from stage1_core.acceptance import AcceptanceReport, FactCheck, Verdict
from stage1_core.metrics.gate_quality import GateQuality
from stage1_core.metrics.risk import exit_error
from stage1_core.model.head import HeadConfig
from stage1_core.phases.adoption import adoption_report
from stage1_core.phases.gate import GateAcceptance, GateConfig, gate_report, training_report
from stage1_core.phases.selective_evaluation import SelectiveEvaluationConfig
from stage1_core.policy import GatePolicyConfig, NoExit
from stage1_core.policy.certify import NotSearched
from stage1_core.policy.comparison import ComparisonConfig
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.policy.evaluation import evaluate
from stage1_core.splits import Purpose
from tests.integration.toys import toy_config
from tests.phases.compared import comparison
from tests.policy.gated import gated_rows


def gate_seen(**changes: object) -> GateQuality:
    values = {
        "rows": 400, "failures": 20, "mean_probability": 0.9, "std_probability": 0.1, "auroc": 0.8, "collapse": None
    }  # fmt: skip
    return GateQuality(**(values | changes))


class TestTraining:
    FALLING = ({"NLL": 0.6}, {"NLL": 0.3})

    def test_a_living_gate_and_a_falling_loss_are_accepted(self):
        assert training_report(gate_seen(), self.FALLING).passed

    def test_a_collapse_is_named(self):
        report = training_report(gate_seen(collapse="constant", std_probability=0.0), self.FALLING)
        assert report.verdict is Verdict.FAIL
        assert "constant: mean 0.900" in report.summary()

    def test_a_rising_loss_is_refused(self):
        assert training_report(gate_seen(), ({"NLL": 0.3}, {"NLL": 0.6})).verdict is Verdict.FAIL

    def test_a_loss_that_never_moved_is_refused(self):
        assert training_report(gate_seen(), ({"NLL": 0.3}, {"NLL": 0.3})).verdict is Verdict.FAIL

    def test_one_epoch_tells_nothing(self):
        assert training_report(gate_seen(), ({"NLL": 0.3},)).verdict is Verdict.INSUFFICIENT_EVIDENCE

    def test_no_epoch_tells_nothing(self):
        assert training_report(gate_seen(), ()).verdict is Verdict.INSUFFICIENT_EVIDENCE

    def test_no_rows_tell_nothing(self):
        empty = gate_seen(rows=0, failures=0, mean_probability=None, std_probability=None, auroc=None)
        assert training_report(empty, self.FALLING).verdict is Verdict.INSUFFICIENT_EVIDENCE


class TestRelease:
    """On rows whose gate lets 9 of 10 exit, with an exit error of about .01."""

    @pytest.fixture
    def certify(self, rng):
        return gated_rows(rng, 2000, Purpose.CERTIFY_POLICY)

    @pytest.fixture
    def policy(self, rng, certify):
        order, calibrate = gated_rows(rng, 2000, Purpose.SELECT_MODEL), gated_rows(rng, 800, Purpose.FIT_CALIBRATOR)
        return GatePolicyConfig().fit(order, certify, RiskConstraint(), calibrate_on=calibrate)

    @pytest.fixture
    def report(self, rng, tmp_path, policy, certify):
        above = SelectiveEvaluationConfig(previous=toy_config(tmp_path, constraint=RiskConstraint()))
        final = evaluate(policy, gated_rows(rng, 500, Purpose.FINAL_EVALUATION), 0.9).evaluation

        def report(
            *, adopted: bool = True, rehearsed: bool = True, rows=certify, fitted=policy, **acceptance: float
        ) -> AcceptanceReport:
            lenient = {"min_coverage": 0.5, "max_exit_error": 0.05, "max_gate_ece": 0.1}
            return gate_report(
                GateConfig(previous=above, acceptance=GateAcceptance(**(lenient | acceptance))),
                policy=fitted,
                certify_on=rows,
                adoption=adoption_report(ComparisonConfig(), comparison(coverage=0.05 if adopted else -0.05)),
                final=final,
                rehearsal=(FactCheck(name="rehearsed", holds=rehearsed, evidence=""),),
            )

        return report

    def test_a_gate_that_keeps_everything_is_accepted(self, report):
        assert report().passed, report().summary()

    @pytest.mark.parametrize(
        ("broken", "name"),
        [
            ({"min_coverage": 0.99}, "coverage on the certifying rows"),
            ({"max_exit_error": 0.0}, "exit error on the certifying rows"),
            ({"max_gate_ece": 0.0}, "calibration error of the gate on the certifying rows"),
            ({"adopted": False}, "gain in coverage over softmax"),
            ({"rehearsed": False}, "rehearsed"),
        ],
    )
    def test_each_check_alone_can_fail_it(self, report, broken, name):
        found = report(**broken)
        assert found.verdict is Verdict.FAIL
        (missed,) = [check.name for check in found.checks if check.verdict is not Verdict.PASS]
        assert missed.startswith(name)

    def test_the_values_are_those_of_the_certifying_rows_that_are_counted(self, report, policy, certify):
        drives = np.char.add("drive ", (np.arange(2000) % 700).astype(np.str_))
        rows = replace(certify, groups=drives)
        values = {check.name: check for check in report(rows=rows).checks}
        counted = exit_error(policy.decide(rows.independent().scores), rows.independent().labels)
        found = values["exit error on the certifying rows"]
        assert (found.value, found.trials) == (counted.rate, counted.trials)
        assert values["calibration error of the gate on the certifying rows"].value == policy.metrics.ece

    def test_without_exits_there_is_not_enough_to_accept(self, report, policy):
        nothing = NoExit(
            constraint=policy.constraint, sweep_results=(), shortfall=NotSearched(reason="the gate ranks nothing")
        )
        found = report(fitted=nothing)
        undecided = {check.name for check in found.checks if check.verdict is Verdict.INSUFFICIENT_EVIDENCE}
        assert undecided >= {"certified fnr_on_exited", "exit error on the certifying rows"}
        assert "the gate ranks nothing" in found.summary()


def test_a_head_without_a_gate_is_refused_before_anything_runs(tmp_path):
    previous = SelectiveEvaluationConfig(previous=toy_config(tmp_path))
    with pytest.raises(ValidationError, match=r"head\.gated is false"):
        GateConfig(previous=previous, head=HeadConfig())
