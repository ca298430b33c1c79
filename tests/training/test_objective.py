"""Every objective, through what the training loop knows of it."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from stage1_core.training.objective import ObjectiveConfig
from stage1_core.training.targets import Targets
from tests.training.toys import feature_rows, tiny_head

CONFIGS = [member() for member in get_args(get_args(ObjectiveConfig)[0])]
COUNTS = np.array([100, 50])

each_config = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.kind)


def a_batch():
    ((inputs, targets),) = feature_rows(rows=32).batches([np.arange(32)], epoch=1)
    return inputs, Targets(targets.labels, torch.ones(32))


def state_of(objective):
    return {name: value.clone() for name, value in objective.state_dict().items()}


def test_the_union_has_four_members_told_apart_by_kind():
    assert [config.kind for config in CONFIGS] == ["cross_entropy", "correctness_gate", "selective", "conformal_risk"]


@each_config
def test_a_config_survives_json_through_the_union(config):
    assert TypeAdapter(ObjectiveConfig).validate_json(config.to_json()) == config


@each_config
def test_a_config_says_how_classes_are_fitted_and_how_many_folds_it_needs(config):
    assert config.classes.kind == "cross_entropy"
    assert config.held_out_folds == (5 if config.kind == "correctness_gate" else 0)


@each_config
def test_a_loss_is_one_finite_number_with_a_gradient(config):
    head, (inputs, targets) = tiny_head(gated=True), a_batch()
    loss = config.build(COUNTS).loss(head(inputs), targets)
    loss.backward()
    assert loss.shape == ()
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)
    assert head.trunk.weight.grad.abs().sum() > 0


@each_config
def test_validation_changes_no_state(config):
    objective, (inputs, targets) = config.build(COUNTS), a_batch()
    for _ in range(8):
        objective.end_epoch(lambda total: total)
    before = state_of(objective)
    objective.eval().loss(tiny_head(gated=True)(inputs), targets)
    assert state_of(objective).keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in state_of(objective).items())


@each_config
def test_the_state_goes_through_a_state_dict(config):
    first, second, (inputs, targets) = config.build(COUNTS), config.build(COUNTS), a_batch()
    head = tiny_head(gated=True, dropout=0.0)
    for _ in range(8):
        first.loss(head(inputs), targets)
        first.end_epoch(lambda total: total)
    second.load_state_dict(state_of(first))
    assert second.loss(head(inputs), targets).item() == first.loss(head(inputs), targets).item()


@each_config
def test_equal_batches_have_equal_losses(config):
    head, (inputs, targets) = tiny_head(gated=True, dropout=0.0), a_batch()
    one, other = (config.build(COUNTS).loss(head(inputs), targets) for _ in range(2))
    assert torch.equal(one, other)
