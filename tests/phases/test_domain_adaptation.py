"""What makes a domain adaptation, what it refuses, and when what was trained counts as sound."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from stage1_core.acceptance import AcceptanceReport, Verdict
from stage1_core.adaptation.arm import ArmConfig, default_arms
from stage1_core.adaptation.picture_arm import AdapterFacts
from stage1_core.adaptation.session import PretrainingReport
from stage1_core.model.adapters.config import FrozenBackboneConfig, FullFineTuningConfig, LoraAdapterConfig
from stage1_core.phases.domain_adaptation import (
    PRETRAINED,
    DomainAdaptationAcceptance,
    DomainAdaptationConfig,
    adaptation_report,
)
from stage1_core.phases.gate import GateConfig
from stage1_core.phases.selective_evaluation import SelectiveEvaluationConfig
from tests.integration.toys import toy_config

FROZEN = ArmConfig(name="frozen", adapter=FrozenBackboneConfig())
LORA = ArmConfig(name="lora", adapter=LoraAdapterConfig())


@pytest.fixture
def below(tmp_path) -> GateConfig:
    return GateConfig(previous=SelectiveEvaluationConfig(previous=toy_config(tmp_path)))


def pretraining(*, changed: int = 3, changed_wrongly: tuple[str, ...] = ()) -> PretrainingReport:
    names = tuple(f"layer.{number}.weight" for number in range(changed))
    return PretrainingReport(
        epochs=(), kept_epoch=1, trainable_parameters=100, changed=names, changed_wrongly=changed_wrongly
    )


def facts(**differences: float) -> AdapterFacts:
    values = {"adapted_layers": 4, "trainable_in_backbone": 512, "pictures": 16}
    measured = {"merged_difference": 1e-6, "reloaded_difference": 0.0, "score_difference": 1e-3, "tau": None}
    return AdapterFacts(**(values | measured | differences))


class TestConfig:
    def test_it_stands_on_the_phases_below(self, below):
        config = DomainAdaptationConfig(previous=below)
        for name in ("data", "backbone", "transform", "constraint", "bootstrap"):
            assert getattr(config, name) == getattr(below, name)

    def test_the_first_arm_is_the_reference(self, below):
        assert DomainAdaptationConfig(previous=below).reference == "frozen"
        slow = FROZEN.model_copy(update={"name": "slow"})
        assert DomainAdaptationConfig(previous=below, arms=(slow, LORA)).reference == "slow"

    def test_a_reference_that_trains_the_backbone_is_refused(self, below):
        with pytest.raises(ValidationError, match=r"first arm, lora, is the reference: give it the adapter frozen"):
            DomainAdaptationConfig(previous=below, arms=(LORA, FROZEN))

    def test_two_arms_of_one_name_are_refused(self, below):
        twin = ArmConfig(name="frozen", adapter=FullFineTuningConfig())
        with pytest.raises(ValidationError, match="arms are called frozen, frozen; give each its own name"):
            DomainAdaptationConfig(previous=below, arms=(FROZEN, twin))

    def test_a_name_that_pretrained_arms_take_is_refused(self, below):
        taken = LORA.model_copy(update={"name": f"{PRETRAINED}frozen"})
        with pytest.raises(ValidationError, match="none beginning explora-"):
            DomainAdaptationConfig(previous=below, arms=(FROZEN, taken))

    def test_one_arm_alone_cannot_be_compared(self, below):
        with pytest.raises(ValidationError, match="arms"):
            DomainAdaptationConfig(previous=below, arms=(FROZEN,))

    @pytest.mark.parametrize("bound", [0.0, 0.5])
    def test_what_merging_may_move_is_little_and_not_nothing(self, bound):
        with pytest.raises(ValidationError, match="max_merge_difference"):
            DomainAdaptationAcceptance(max_merge_difference=bound)

    def test_it_survives_the_way_through_json(self, below):
        config = DomainAdaptationConfig(previous=below, arms=default_arms())
        assert DomainAdaptationConfig.model_validate_json(config.to_json()) == config


class TestReport:
    @pytest.fixture
    def report(self, below):
        def report(pretrained=None, **arms: AdapterFacts) -> AcceptanceReport:
            named = arms or {"frozen": facts(merged_difference=0.0), "lora": facts()}
            return adaptation_report(DomainAdaptationAcceptance(), pretrained or pretraining(), named)

        return report

    def test_sound_adapters_are_accepted_arm_by_arm(self, report):
        found = report()
        assert found.passed
        assert [check.name for check in found.checks] == [
            "ExPLoRA changed only what it may",
            "frozen: features move when it is merged",
            "frozen: features move when it is saved and loaded",
            "frozen: scores differ from those of the trained model",
            "lora: features move when it is merged",
            "lora: features move when it is saved and loaded",
            "lora: scores differ from those of the trained model",
        ]
        assert found.checks[0].evidence == "3 tensors differ"

    def test_a_tensor_that_may_not_change_is_named(self, report):
        found = report(pretraining(changed_wrongly=("embeddings.cls_token", "b", "c", "d")))
        assert found.verdict is Verdict.FAIL
        assert "ExPLoRA changed only what it may: FAIL (embeddings.cls_token, b, c" in found.summary()

    def test_a_pretraining_that_was_not_used_changed_nothing(self, report):
        assert report(pretraining(changed=0)).passed

    @pytest.mark.parametrize("stage", ["merged", "reloaded"])
    @pytest.mark.parametrize(("difference", "passed"), [(1e-4, True), (1.01e-4, False)])
    def test_features_may_move_as_far_as_was_allowed(self, report, stage, difference, passed):
        found = report(frozen=facts(), lora=facts(**{f"{stage}_difference": difference}))
        assert found.passed is passed
        missed = [check.name for check in found.checks if check.verdict is Verdict.FAIL]
        where = {"merged": "merged", "reloaded": "saved and loaded"}[stage]
        assert missed == ([] if passed else [f"lora: features move when it is {where}"])

    @pytest.mark.parametrize(("difference", "passed"), [(0.01, True), (0.011, False)])
    def test_scores_may_differ_as_far_as_was_allowed(self, report, difference, passed):
        found = report(frozen=facts(), lora=facts(score_difference=difference))
        missed = [check.name for check in found.checks if check.verdict is Verdict.FAIL]
        assert missed == ([] if passed else ["lora: scores differ from those of the trained model"])

    def test_the_bound_is_the_configured_one(self, below):
        strict = DomainAdaptationAcceptance(max_merge_difference=1e-7)
        config = DomainAdaptationConfig(previous=below, acceptance=strict)
        assert adaptation_report(config.acceptance, pretraining(), {"lora": facts()}).verdict is Verdict.FAIL

    def test_a_difference_that_is_no_number_cannot_be_recorded(self):
        with pytest.raises(ValidationError):
            facts(merged_difference=float("nan"))
