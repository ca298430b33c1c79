"""What F-SAM is compared with, and when trainings count as stable."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from stage1_core.acceptance import Verdict
from stage1_core.phases.domain_adaptation import DomainAdaptationConfig
from stage1_core.phases.gate import GateConfig
from stage1_core.phases.selective_evaluation import SelectiveEvaluationConfig
from stage1_core.phases.sharpness import ADAMW, FSAM, SharpnessConfig, stability_report
from stage1_core.training.adamw import AdamWConfig
from stage1_core.training.config import selective_training
from stage1_core.training.sharpness import FriendlySamConfig
from tests.integration.toys import toy_config


@pytest.fixture
def below(tmp_path) -> DomainAdaptationConfig:
    gated = GateConfig(previous=SelectiveEvaluationConfig(previous=toy_config(tmp_path)))
    return DomainAdaptationConfig(previous=gated)


def log(*losses: float | None) -> list[dict[str, float | None]]:
    """metrics.csv, of which one column is looked at."""
    return [{"NLL": loss} for loss in losses]


class TestConfig:
    def test_it_stands_on_the_phases_below(self, below):
        config = SharpnessConfig(previous=below)
        for name in ("data", "backbone", "transform", "constraint", "bootstrap"):
            assert getattr(config, name) == getattr(below, name)

    def test_the_trainings_differ_by_the_optimizer_alone(self, below):
        trainings = SharpnessConfig(previous=below).trainings
        assert list(trainings) == [ADAMW, FSAM]
        assert trainings[ADAMW].optimizer.kind == "adamw"
        assert trainings[FSAM].optimizer.kind == "friendly_sam"
        assert trainings[FSAM].optimizer.base == trainings[ADAMW].optimizer
        assert trainings[FSAM].model_copy(update={"optimizer": trainings[ADAMW].optimizer}) == trainings[ADAMW]

    def test_f_sam_is_not_compared_with_itself(self, below):
        sharp = selective_training().model_copy(update={"optimizer": FriendlySamConfig()})
        with pytest.raises(ValidationError, match="it is what F-SAM is compared with"):
            SharpnessConfig(previous=below, training=sharp)

    def test_other_settings_of_adamw_below_f_sam_are_refused(self, below):
        with pytest.raises(ValidationError, match="give both the same, or these settings are compared too"):
            SharpnessConfig(previous=below, sharpness=FriendlySamConfig(base=AdamWConfig(lr_head=1e-4)))

    def test_it_survives_the_way_through_json(self, below):
        config = SharpnessConfig(previous=below)
        assert SharpnessConfig.model_validate_json(config.to_json()) == config


class TestStability:
    def test_trainings_that_all_go_downhill_are_accepted(self):
        found = stability_report({ADAMW: [log(0.6, 0.4), log(0.7, 0.5)], FSAM: [log(0.6, 0.3), log(0.7, 0.6)]})
        assert found.passed
        assert [check.evidence for check in found.checks] == ["by 0.2, 0.2", "by 0.3, 0.1"]

    def test_the_lowest_later_epoch_counts(self):
        assert stability_report({ADAMW: [log(0.6, 0.7, 0.4, 0.9)]}).passed

    @pytest.mark.parametrize("losses", [(0.6, 0.7, 0.8), (0.6, 0.6)], ids=["rises", "stays"])
    def test_one_seed_that_does_not_fall_is_enough_to_refuse(self, losses):
        found = stability_report({ADAMW: [log(0.6, 0.4), log(0.6, 0.4)], FSAM: [log(0.6, 0.4), log(*losses)]})
        assert found.verdict is Verdict.FAIL
        (missed,) = [check.name for check in found.checks if check.verdict is Verdict.FAIL]
        assert missed.startswith("f-sam: ")

    @pytest.mark.parametrize("broken", [math.nan, math.inf, None], ids=["nan", "infinite", "undefined"])
    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_a_loss_that_is_not_finite_is_refused_wherever_it_stands(self, broken, place):
        losses = [0.6, 0.5, 0.4]
        losses[place] = broken
        found = stability_report({FSAM: [log(*losses)]})
        assert found.verdict is Verdict.FAIL
        assert "-inf" in found.summary()

    @pytest.mark.parametrize("losses", [(), (0.6,)], ids=["no epoch", "one epoch"])
    def test_without_a_second_epoch_nothing_is_known(self, losses):
        found = stability_report({ADAMW: [log(*losses)]})
        assert found.verdict is Verdict.INSUFFICIENT_EVIDENCE
        assert "no second epoch" in found.summary()

    def test_one_seed_without_a_second_epoch_leaves_the_optimizer_undecided(self):
        found = stability_report({ADAMW: [log(0.6, 0.4), log(0.6)]})
        assert found.verdict is Verdict.INSUFFICIENT_EVIDENCE

    def test_without_a_seed_nothing_is_known(self):
        assert stability_report({ADAMW: []}).verdict is Verdict.INSUFFICIENT_EVIDENCE
