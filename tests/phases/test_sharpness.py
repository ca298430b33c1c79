"""What F-SAM is compared with."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from stage1_core.phases.domain_adaptation import DomainAdaptationConfig
from stage1_core.phases.sharpness import ADAMW, FSAM, SharpnessConfig
from stage1_core.training.adamw import AdamWConfig
from stage1_core.training.config import selective_training
from stage1_core.training.sharpness import FriendlySamConfig
from tests.phases.below import smallest


@pytest.fixture
def below(tmp_path) -> DomainAdaptationConfig:
    return smallest("domain_adaptation", tmp_path)


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
