"""What makes a selective evaluation, and what it refuses."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from stage1_core.acceptance import Verdict
from stage1_core.metrics.suite import model_quality
from stage1_core.phases.selective_evaluation import SelectiveEvaluationConfig, kept_head_check, kept_heads
from stage1_core.splits import Purpose
from stage1_core.training.config import historical_training
from tests.integration.toys import toy_config
from tests.toys import predictions_of

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
