"""What makes a retraining another one."""

from __future__ import annotations

import pytest

from stage1_core.phases.ladder import LadderConfig
from stage1_core.phases.retraining import RetrainConfig
from stage1_core.policy import SoftmaxPolicyConfig
from stage1_core.promotion.config import HumanApproval, PromotionConfig
from tests.integration.toys import three_phases

DATA = "d" * 64


@pytest.fixture
def config(tmp_path) -> RetrainConfig:
    return RetrainConfig(ladder=LadderConfig(top=three_phases(tmp_path, softmax=SoftmaxPolicyConfig())))


def test_the_same_data_configuration_and_code_are_the_same_retraining(config):
    again = RetrainConfig.model_validate(config.model_dump(mode="json"))
    assert again.identity(DATA) == config.identity(DATA)


def test_other_data_are_another(config):
    assert config.identity("e" * 64) != config.identity(DATA)


def test_another_ladder_is_another(config):
    top = config.ladder.top
    other = LadderConfig(
        top=top.model_copy(update={"comparison": top.comparison.model_copy(update={"min_coverage_gain": 0.2})})
    )
    assert config.model_copy(update={"ladder": other}).identity(DATA) != config.identity(DATA)


def test_other_code_is_another(config, monkeypatch):
    before = config.identity(DATA)
    monkeypatch.setattr("stage1_core.digests.core_source_digest", lambda: "c" * 64)
    assert config.identity(DATA) != before


def test_who_decides_afterwards_changes_nothing_about_what_is_trained(config):
    asked = config.model_copy(update={"promotion": PromotionConfig(approval=HumanApproval())})
    assert asked.identity(DATA) == config.identity(DATA)
