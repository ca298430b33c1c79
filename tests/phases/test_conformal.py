"""What conformal risk training is compared with, and what an SCRC policy must prove beside its certificate."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from stage1_core.acceptance import AcceptanceReport, Verdict
from stage1_core.bundle.manifest import ReleaseConfig
from stage1_core.data.config import DataConfig
from stage1_core.metrics.risk import fnr_on_exited
from stage1_core.model.head import HeadConfig
from stage1_core.phases import scrc_checks
from stage1_core.phases.conformal import (
    CONFORMAL_RISK,
    PLAIN,
    ConformalAcceptance,
    ConformalConfig,
    conformal_report,
)
from stage1_core.policy import ScrcPolicy, ScrcPolicyConfig
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.policy.scrc_paths import ScrcGrid
from stage1_core.predictions import Decisions, Predictions, Scores
from stage1_core.splits import Purpose
from stage1_core.training.objective import ConformalRiskConfig, CrossEntropyConfig
from tests.phases.below import smallest
from tests.policy.gated import paired_rows

CONSTRAINT = RiskConstraint()

each_below = pytest.mark.parametrize("below", ["gate", "domain_adaptation", "sharpness"])


class TestConfig:
    @each_below
    def test_it_stands_on_any_of_the_phases_below(self, below, tmp_path):
        previous = smallest(below, tmp_path)
        config = ConformalConfig(previous=previous)
        assert isinstance(config.data, DataConfig)
        for name in ("data", "backbone", "transform", "constraint", "bootstrap"):
            assert getattr(config, name) == getattr(previous, name)

    @each_below
    def test_it_survives_the_way_through_json(self, below, tmp_path):
        config = ConformalConfig(previous=smallest(below, tmp_path))
        assert ConformalConfig.model_validate_json(config.to_json()) == config

    @pytest.fixture
    def below(self, tmp_path):
        return smallest("gate", tmp_path)

    def test_the_trainings_differ_by_the_objective_alone(self, below):
        config = ConformalConfig(previous=below)
        plain, risk = (config.trainings[name] for name in (PLAIN, CONFORMAL_RISK))
        assert config.reference == PLAIN
        assert risk.objective.base == plain.objective
        assert risk.model_copy(update={"objective": plain.objective}) == plain

    def test_another_objective_below_the_risk_is_refused(self, below):
        with pytest.raises(ValidationError, match="give both the same, or these settings are compared too"):
            ConformalConfig(previous=below, risk=ConformalRiskConfig(base=CrossEntropyConfig()))

    def test_conformal_risk_is_not_compared_with_itself(self, below):
        config = ConformalConfig(previous=below)
        with pytest.raises(ValidationError, match="give both the same"):
            ConformalConfig(previous=below, training=config.trainings[CONFORMAL_RISK])

    def test_a_gate_that_the_head_does_not_have_cannot_select(self, below):
        policy = ScrcPolicyConfig(grid=ScrcGrid(signal="gate"))
        with pytest.raises(ValidationError, match=r"head\.gated is false"):
            ConformalConfig(previous=below, policy=policy, head=HeadConfig())

    def test_positives_that_exit_sooner_are_refused_before_anything_is_trained(self, below):
        policy = ScrcPolicyConfig(grid=ScrcGrid(positives="sooner"))
        with pytest.raises(ValidationError, match="set max_fpr_on_exited or max_exit_error"):
            ConformalConfig(previous=below, policy=policy)

    @each_below
    def test_only_a_backbone_that_nobody_trained_may_be_named_in_the_bundle(self, below, tmp_path):
        named = {"previous": smallest(below, tmp_path), "release": ReleaseConfig(backbone="reference")}
        if below == "gate":
            assert ConformalConfig(**named).release.backbone == "reference"
            return
        with pytest.raises(ValidationError, match="must be embedded in the bundle"):
            ConformalConfig(**named)

    def test_no_gain_is_asked_for_and_no_loss_allowed(self, below):
        assert ConformalConfig(previous=below).comparison.min_coverage_gain == 0


class CallsTheOtherClass(ScrcPolicy):
    """A policy that is broken in one place."""

    def decide(self, scores: Scores) -> Decisions:
        """Exits as it should, with the class that is less likely."""
        decisions = super().decide(scores)
        return Decisions.of(decisions.exited, decisions.label == 0)


def by_place(calibration, labels, batch, *, selection_rate, alpha) -> Decisions:
    """A rule for batches that lets the first half exit."""
    exits = np.arange(len(batch)) < len(batch) // 2
    return Decisions.of(exits, batch.p1 > 0.5)


def missed(found: AcceptanceReport) -> list[str]:
    return [check.name for check in found.checks if check.verdict is not Verdict.PASS]


class TestReport:
    @pytest.fixture
    def certify(self, rng) -> Predictions:
        return paired_rows(rng, 2000, Purpose.CERTIFY_UNCALIBRATED_POLICY)

    @pytest.fixture
    def final(self, rng) -> Predictions:
        return paired_rows(rng, 500, Purpose.FINAL_EVALUATION)

    @pytest.fixture
    def policy(self, rng, certify) -> ScrcPolicy:
        found = ScrcPolicyConfig().fit(paired_rows(rng, 800, Purpose.SELECT_MODEL), certify, CONSTRAINT)
        assert isinstance(found, ScrcPolicy)
        return found

    @pytest.fixture
    def report(self, certify, final):
        def report(policy: ScrcPolicy, config: ConformalAcceptance | None = None) -> AcceptanceReport:
            asked = config or ConformalAcceptance()
            return conformal_report(asked, CONSTRAINT, policy=policy, certify_on=certify, final_rows=final)

        return report

    def test_a_policy_that_was_fitted_as_it_should_passes(self, report, policy):
        found = report(policy)
        assert found.passed, found.summary()

    def test_another_level_of_its_sweep_passes_too(self, report, policy):
        strict = policy.at_threshold(next(level.threshold for level in policy.sweep_results if level.certified))
        assert strict.threshold != policy.threshold
        assert report(strict).passed

    @pytest.mark.parametrize(("rise", "verdict"), [(0.01, Verdict.PASS), (0.02, Verdict.FAIL)])
    def test_calibration_may_cost_as_much_likelihood_as_was_allowed(self, report, policy, rise, verdict):
        measured = policy.calibration.model_copy(update={"nll_before": 0.0, "nll_after": rise})
        found = report(policy.model_copy(update={"calibration": measured}))
        assert found.checks[0].verdict is verdict
        assert found.checks[0].trials == 2000

    def test_what_calibration_leaves_of_the_error_is_bounded(self, report, policy):
        left = policy.calibration.ece_after
        assert report(policy, ConformalAcceptance(max_ece=left)).passed
        found = report(policy, ConformalAcceptance(max_ece=left / 2))
        assert missed(found) == ["calibration error of the classes on the certifying rows"]

    def test_a_set_with_the_other_class_is_found(self, report, policy, certify):
        broken = CallsTheOtherClass(**dict(policy))
        found = report(broken)
        assert missed(found) == ["prediction sets on the certifying rows are {likelier class} or {0, 1}"]
        exited = int(policy.decide(certify.scores).exited.sum())
        assert f"0 of {exited} that exit have their likelier class, {2000 - exited} both, 0 none" in found.summary()

    def test_a_promise_that_other_rows_gave_is_found(self, report, policy):
        more = policy.bounds.model_copy(update={"misses": policy.bounds.misses + 1})
        found = report(policy.model_copy(update={"bounds": more}))
        assert missed(found) == ["SCRC-I's own promise is the one that is recorded"]

    def test_where_the_method_itself_promises_nothing_it_says_so_and_passes(self, rng, policy):
        few = paired_rows(rng, 60, Purpose.CERTIFY_UNCALIBRATED_POLICY, name="few")
        seen = scrc_checks.promise_of(policy, few)
        check = scrc_checks.own_promise_check(policy.model_copy(update={"bounds": seen}), few)
        assert seen.budget is None
        assert check.verdict is Verdict.PASS
        assert "no promise: " in check.evidence

    def test_the_batch_is_decided_as_the_evidence_says(self, report, policy, certify, final):
        check = report(policy).checks[-1]
        assert check.name == "SCRC-T's sets for the final_evaluation rows do not depend on their order"
        sets = scrc_checks.batch_sets(policy, certify, final)
        fnr = fnr_on_exited(sets, final.labels)
        assert f"{int(sets.exited.sum())} of 500 exit, {fnr.events} of {fnr.trials} exited" in check.evidence

    def test_a_batch_whose_order_matters_is_found(self, report, policy, monkeypatch):
        monkeypatch.setattr(scrc_checks, "decide_batch", by_place)
        assert missed(report(policy)) == ["SCRC-T's sets for the final_evaluation rows do not depend on their order"]

    def test_rows_of_a_drive_count_once_where_the_promise_counts_them_once(self, rng, report, policy, certify):
        drives = np.char.add("drive ", (np.arange(2000) % 900).astype("str"))
        rows = Predictions(certify.purpose, certify.scores, certify.labels, drives, certify.sources)
        fitted = ScrcPolicyConfig().fit(paired_rows(rng, 800, Purpose.SELECT_MODEL), rows, CONSTRAINT)
        final = paired_rows(rng, 500, Purpose.FINAL_EVALUATION, name="others")
        found = conformal_report(ConformalAcceptance(), CONSTRAINT, policy=fitted, certify_on=rows, final_rows=final)
        assert found.passed, found.summary()
        assert found.checks[0].trials == len(rows.independent()) < 2000
