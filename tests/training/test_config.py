from __future__ import annotations

import pytest

from stage1_core.training.config import (
    TrainingConfig,
    cached_features_training,
    conformal_risk_training,
    gate_training,
    historical_training,
    historical_training_of_second_version,
    selective_training,
    selectivenet_training,
    sharpness_training,
)
from stage1_core.training.selection import SelectionMetric

RECIPES = [
    TrainingConfig(),
    cached_features_training(),
    selective_training(),
    gate_training(),
    selectivenet_training(),
    conformal_risk_training(),
    sharpness_training(),
    historical_training(),
    historical_training_of_second_version(),
]


@pytest.mark.parametrize("config", RECIPES)
def test_every_recipe_survives_json_with_its_digest(config):
    assert TrainingConfig.model_validate_json(config.to_json()).digest() == config.digest()


def test_recipes_are_different_trainings():
    assert len({config.digest() for config in RECIPES}) == len(RECIPES)


def test_a_config_has_at_most_twelve_fields_and_two_switches():
    parts = [getattr(config, name) for config in RECIPES for name in TrainingConfig.model_fields]
    models = {TrainingConfig, *(type(part) for part in parts)}
    for model in (model for model in models if hasattr(model, "model_fields")):
        assert len(model.model_fields) <= 12
        assert sum(field.annotation is bool for field in model.model_fields.values()) <= 2


def test_features_are_trained_on_for_accuracy_and_gates_for_ranking_and_each_keeps_the_other_beside():
    accuracy, augrc = SelectionMetric.ACCURACY, SelectionMetric.AUGRC
    for config, metric, beside in (
        (cached_features_training(), accuracy, augrc),
        (selective_training(), augrc, accuracy),
        (gate_training(), augrc, accuracy),
        (selectivenet_training(), augrc, accuracy),
    ):
        chosen = config.selection
        assert (chosen.metric, chosen.keep_also, chosen.patience) == (metric, (beside,), None)
        assert (config.optimizer.lr_head, config.precision) == (1e-3, "auto")


def test_the_objectives_of_the_gates_are_their_own():
    assert gate_training().objective.kind == "correctness_gate"
    assert selectivenet_training().objective.kind == "selective"
    assert selectivenet_training().batch.sizes == (256, 128, 64)


def test_conformal_risk_is_trained_on_large_batches_and_chosen_by_what_it_minimises():
    config = conformal_risk_training()
    assert config.objective.kind == "conformal_risk"
    assert (config.batch, config.epochs) == (selectivenet_training().batch, selectivenet_training().epochs)
    assert config.selection.metric is SelectionMetric.VAL_LOSS
    assert set(config.selection.keep_also) == {SelectionMetric.AUGRC, SelectionMetric.ACCURACY}


def test_sharpness_differs_from_the_plain_training_by_what_is_around_its_adamw_alone():
    plain, sharp = cached_features_training(), sharpness_training()
    assert sharp.optimizer.base == plain.optimizer
    assert sharp.model_copy(update={"optimizer": plain.optimizer}) == plain


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
