from __future__ import annotations

import pytest

from stage1_core.training.config import (
    TrainingConfig,
    cached_features_training,
    historical_training,
    historical_training_of_second_version,
)

RECIPES = [TrainingConfig(), cached_features_training(), historical_training(), historical_training_of_second_version()]


@pytest.mark.parametrize("config", RECIPES)
def test_every_recipe_survives_json_with_its_digest(config):
    assert TrainingConfig.model_validate_json(config.to_json()).digest() == config.digest()


def test_recipes_are_four_different_trainings():
    assert len({config.digest() for config in RECIPES}) == 4


def test_a_config_has_at_most_twelve_fields_and_two_switches():
    models = [TrainingConfig, *(type(getattr(TrainingConfig(), name)) for name in TrainingConfig.model_fields)]
    for model in (model for model in models if hasattr(model, "model_fields")):
        assert len(model.model_fields) <= 12
        assert sum(field.annotation is bool for field in model.model_fields.values()) <= 2


def test_the_historical_constants_are_those_of_the_historical_trainer():
    config = historical_training()
    assert (config.optimizer.lr_head, config.optimizer.weight_decay, config.optimizer.eps) == (1e-4, 0.01, 1e-8)
    assert (config.batch.sizes, config.batch.accumulation.micro_batches) == ((64, 32), 2)
    assert (config.objective.label_smoothing, config.average.decay, config.selection.patience) == (0.1, 0.9999, 3)
    second = historical_training_of_second_version()
    assert (second.optimizer.lr_head, second.optimizer.weight_decay) == (8e-5, 0.05)
    assert second.objective.label_smoothing == 0.15


def test_the_exit_threshold_of_the_log_is_named_as_such():
    assert TrainingConfig().epoch_log.legacy_exit_threshold_for_logging == 0.88
