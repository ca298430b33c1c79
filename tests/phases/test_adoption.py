"""When a challenger takes the place of the release that stands, and when it may be released."""

from __future__ import annotations

import numpy as np
import pytest

from stage1_core.acceptance import AcceptanceReport, FactCheck, Verdict
from stage1_core.metrics.bootstrap import BootstrapConfig
from stage1_core.phases.adoption import adoption_report, challenger_report
from stage1_core.policy import NoExit, SoftmaxPolicyConfig
from stage1_core.policy.arm_comparison import ArmComparison, compare_arms
from stage1_core.policy.certify import NotSearched
from stage1_core.policy.comparison import ComparisonConfig
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.policy.evaluation import evaluate
from stage1_core.splits import Purpose
from tests.phases.compared import comparison
from tests.policy.recipes import Recipes, cost
from tests.toys import make_predictions

CONFIG = ComparisonConfig(min_coverage_gain=0.01, max_accuracy_loss=0.02)
CONSTRAINT = RiskConstraint()
TRAINED = AcceptanceReport.of("adaptation", (FactCheck(name="trained well", holds=True, evidence=""),))


class TestAdoption:
    def test_more_coverage_at_no_more_false_alarms_and_equal_accuracy_is_adopted(self):
        assert adoption_report(CONFIG, comparison()).passed

    @pytest.mark.parametrize(("lower", "passed"), [(0.01, True), (0.009, False), (0.0, False), (-0.3, False)])
    def test_the_lower_end_of_the_gain_decides(self, lower, passed):
        assert adoption_report(CONFIG, comparison(coverage=lower)).passed is passed

    @pytest.mark.parametrize(("lower", "passed"), [(-0.02, True), (-0.021, False)])
    def test_accuracy_may_fall_by_what_was_allowed(self, lower, passed):
        assert adoption_report(CONFIG, comparison(accuracy=lower)).passed is passed

    def test_more_false_alarms_are_refused(self):
        report = adoption_report(CONFIG, comparison(new=(3, 100)))
        assert report.verdict is Verdict.FAIL
        assert "FPR on exited is not above that of softmax" in report.summary()

    def test_no_exiting_negative_is_no_false_alarm(self):
        assert adoption_report(CONFIG, comparison(new=(0, 0))).passed

    def test_nothing_to_match_is_not_enough(self):
        assert adoption_report(CONFIG, comparison(old=(0, 0))).verdict is Verdict.INSUFFICIENT_EVIDENCE

    def test_an_undefined_gain_is_not_enough(self):
        assert adoption_report(CONFIG, comparison(coverage=None)).verdict is Verdict.INSUFFICIENT_EVIDENCE

    def test_a_gate_that_lets_nothing_exit_says_what_was_missing(self):
        found = comparison()
        nothing = found.challenger.model_copy(update={"no_exit_reason": "157 more rows are needed"})
        report = adoption_report(CONFIG, found.model_copy(update={"challenger": nothing}))
        assert "gate is certified: FAIL (157 more rows are needed" in report.summary()

    @pytest.mark.parametrize(("lower", "passed"), [(0.0, True), (-0.001, False)])
    def test_where_no_gain_is_asked_for_nothing_may_be_lost(self, lower, passed):
        assert adoption_report(ComparisonConfig(min_coverage_gain=0), comparison(coverage=lower)).passed is passed

    def test_a_loss_cannot_be_allowed(self):
        with pytest.raises(ValueError, match="greater than or equal to 0"):
            ComparisonConfig(min_coverage_gain=-0.001)


def compared_arms(*, measured: bool = True) -> ArmComparison:
    arms = Recipes(groups=50, seeds=2).draw(np.random.default_rng(1), {"frozen": 0.0, "full": 1.0})
    found = compare_arms(arms, "frozen", CONSTRAINT, BootstrapConfig(resamples=100))
    if measured:
        return found
    unknown = found.arms[1].model_copy(update={"cost": cost(2000, memory=None)})
    return found.model_copy(update={"arms": (found.arms[0], unknown)})


class TestRelease:
    @pytest.fixture
    def certify(self, rng):
        return make_predictions(rng, 2000)

    @pytest.fixture
    def policy(self, rng, certify):
        order = make_predictions(rng, 2000, purpose=Purpose.SELECT_MODEL, name="order")
        return SoftmaxPolicyConfig().fit(order, certify, CONSTRAINT)

    @pytest.fixture
    def report(self, rng, policy, certify):
        rows = make_predictions(rng, 500, purpose=Purpose.FINAL_EVALUATION, name="final")
        final = evaluate(policy, rows, 0.9).evaluation

        def report(
            *, fitted=policy, min_coverage=0.5, before=(TRAINED,), measured=True, rehearsed=True
        ) -> AcceptanceReport:
            return challenger_report(
                "domain_adaptation",
                CONSTRAINT,
                min_coverage=min_coverage,
                policy=fitted,
                certify_on=certify,
                before=before,
                arms=compared_arms(measured=measured),
                final=final,
                rehearsal=(FactCheck(name="rehearsed", holds=rehearsed, evidence=""),),
            )

        return report

    def test_a_challenger_that_keeps_everything_is_accepted(self, report):
        found = report()
        assert found.passed, found.summary()
        assert found.phase == "domain_adaptation"
        assert found.certificate.name == "certified fnr_on_exited"

    def test_every_check_that_was_passed_on_the_way_is_in_it(self, report):
        adopted = adoption_report(CONFIG, comparison())
        names = [check.name for check in report(before=(TRAINED, adopted)).checks]
        assert [name for name in names if name in {"trained well", *(check.name for check in adopted.checks)}] == [
            "trained well",
            *(check.name for check in adopted.checks),
        ]

    @pytest.mark.parametrize(
        ("broken", "name", "verdict"),
        [
            ({"min_coverage": 1.0}, "coverage on the certifying rows", Verdict.FAIL),
            (
                {"before": (AcceptanceReport.of("t", (FactCheck(name="trained well", holds=False, evidence=""),)),)},
                "trained well",
                Verdict.FAIL,
            ),
            ({"measured": False}, "the memory of every recipe was measured", Verdict.FAIL),
            ({"rehearsed": False}, "rehearsed", Verdict.FAIL),
        ],
    )
    def test_each_check_alone_can_fail_it(self, report, broken, name, verdict):
        found = report(**broken)
        assert found.verdict is verdict
        assert [check.name for check in found.checks if check.verdict is not Verdict.PASS] == [name]

    def test_without_exits_there_is_not_enough_to_accept(self, report):
        nothing = NoExit(constraint=CONSTRAINT, sweep_results=(), shortfall=NotSearched(reason="it ranks nothing"))
        found = report(fitted=nothing, min_coverage=0.0)
        assert found.verdict is Verdict.INSUFFICIENT_EVIDENCE
        assert "it ranks nothing" in found.summary()

    def test_the_memory_of_each_recipe_is_said(self, report):
        check = next(check for check in report().checks if "memory" in check.name)
        assert check.evidence == "frozen 768 MiB, full 768 MiB"
