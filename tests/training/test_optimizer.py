"""What every optimizer keeps to, whatever its kind."""

from __future__ import annotations

import typing

import pytest
import torch
from pydantic import TypeAdapter

from stage1_core.training.execution import make_accelerator
from stage1_core.training.optimizer import AdamWConfig, FriendlySamConfig, OptimizerConfig
from stage1_core.training.state_tree import pack, unpack
from tests.training.toys import classifier, quadratic, tiny_head

OPTIMIZERS = {
    AdamWConfig: AdamWConfig(lr_head=0.01),
    FriendlySamConfig: FriendlySamConfig(base=AdamWConfig(lr_head=0.01)),
}

every_optimizer = pytest.mark.parametrize("config", OPTIMIZERS.values(), ids=lambda config: config.kind)


def build(config, model, *, scaler=None):
    accelerator = make_accelerator("fp32")
    accelerator.scaler = scaler
    return config.build(model, accelerator, 1.0)


def values(model):
    return [parameter.detach().clone() for parameter in model.parameters()]


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_the_optimizers_here_are_all_there_are():
    union, _ = typing.get_args(OptimizerConfig)
    assert set(OPTIMIZERS) == set(typing.get_args(union))


@every_optimizer
def test_a_config_survives_json_as_the_kind_it_is(config):
    assert TypeAdapter(OptimizerConfig).validate_json(config.to_json()) == config


@every_optimizer
def test_a_step_lowers_the_loss_and_tells_what_it_was_before(config):
    head = tiny_head()
    update = build(config, head)
    seen = [update.step(quadratic(head)).item() for _ in range(5)]
    expected = sum((parameter**2).sum() for parameter in tiny_head().parameters()) * 1e-3
    assert seen[0] == pytest.approx(expected.item(), rel=1e-6)
    assert seen == sorted(seen, reverse=True)


@every_optimizer
def test_gradients_are_cleared_after_a_step(config):
    head = tiny_head()
    build(config, head).step(quadratic(head))
    assert all(parameter.grad is None for parameter in head.parameters())


@every_optimizer
def test_frozen_parameters_stay_what_they_were(config):
    model = classifier(trained_layers=[1])
    frozen = values(model.backbone[0])
    build(config, model).step(quadratic(model))
    assert same(frozen, values(model.backbone[0]))


@every_optimizer
def test_a_learning_rate_of_zero_leaves_the_weights_exactly_where_they_were(config):
    head = tiny_head()
    before, update = values(head), build(config, head)
    update.scale_learning_rates(0.0)
    update.step(quadratic(head))
    assert same(before, values(head))


@pytest.mark.parametrize(
    "config",
    [
        AdamWConfig(lr_head=0.1, lr_backbone=0.01),
        FriendlySamConfig(base=AdamWConfig(lr_head=0.1, lr_backbone=0.01)),
    ],
    ids=lambda config: config.kind,
)
def test_learning_rates_are_scaled_from_their_peaks_not_from_the_last_ones(config):
    model = classifier(trained_layers=[0])
    update = build(config, model)
    for factor in (0.5, 0.5, 0.25):
        update.scale_learning_rates(factor)
        update.step(quadratic(model))
    assert update.learning_rate() == pytest.approx(0.025)
    assert [group["lr"] for group in update.state_dict()["param_groups"]] == pytest.approx([0.025, 0.0025])


@every_optimizer
def test_a_continued_optimizer_takes_the_same_next_steps(config):
    whole, continued = tiny_head(), tiny_head()
    first, second = build(config, whole), build(config, continued)
    for _ in range(2):
        first.step(quadratic(whole))
    continued.load_state_dict(whole.state_dict())
    packed, tensors = pack(first.state_dict())
    second.load_state_dict(unpack(packed, {name: tensor.clone() for name, tensor in tensors.items()}))
    for _ in range(2):
        for update, head in ((first, whole), (second, continued)):
            update.scale_learning_rates(0.5)
            update.step(quadratic(head))
    assert same(values(whole), values(continued))
    assert second.learning_rate() == 0.005


@every_optimizer
def test_scaled_losses_make_the_same_steps_as_unscaled_ones(config):
    plain, scaled = tiny_head(), tiny_head()
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    ours, theirs = build(config, plain), build(config, scaled, scaler=scaler)
    for _ in range(4):
        ours.step(quadratic(plain))
        theirs.step(quadratic(scaled, scaler=scaler))
    assert same(values(plain), values(scaled))


@every_optimizer
def test_a_step_whose_gradient_overflows_is_skipped_and_the_scale_goes_down(config):
    head = tiny_head()
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    update = build(config, head, scaler=scaler)
    update.step(quadratic(head, scaler=scaler))
    before, moments = values(head), pack(update.state_dict())[1]
    moments = {name: tensor.clone() for name, tensor in moments.items()}
    update.step(quadratic(head, scaler=scaler, overflow_in=1))
    assert same(before, values(head))
    assert scaler.get_scale() == 512.0
    after = pack(update.state_dict())[1]
    assert all(torch.equal(tensor, after[name]) for name, tensor in moments.items())
    update.step(quadratic(head, scaler=scaler))
    assert not same(before, values(head))
