from __future__ import annotations

import copy

import pytest
import torch

from stage1_core.errors import ModelError
from stage1_core.model.classifier import Classifier
from stage1_core.training.execution import make_accelerator
from stage1_core.training.optimizer import AdamWConfig, parameter_groups, trainable_parameters
from tests.training.toys import tiny_head


def classifier(*, trained_layers):
    backbone = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Linear(6, 12))
    backbone.requires_grad_(False)
    for index in trained_layers:
        backbone[index].requires_grad_(True)
    return Classifier(backbone, tiny_head())


def test_head_and_backbone_have_learning_rates_of_their_own():
    groups = parameter_groups(classifier(trained_layers=[1]), lr_head=1e-4, lr_backbone=1e-5)
    assert [(group["lr"], len(group["params"])) for group in groups] == [(1e-4, 4), (1e-5, 2)]


def test_frozen_parameters_are_in_no_group():
    groups = parameter_groups(classifier(trained_layers=[]), lr_head=1e-4, lr_backbone=1e-5)
    assert [(group["lr"], len(group["params"])) for group in groups] == [(1e-4, 4)]


def test_a_model_with_nothing_to_train_is_refused():
    with pytest.raises(ModelError, match="no trainable parameter"):
        trainable_parameters(tiny_head().requires_grad_(False))


def quadratic(head):
    def closure():
        loss = sum((parameter**2).sum() for parameter in head.parameters()) * 1e-3
        loss.backward()
        return loss.detach()

    return closure


def test_steps_are_those_of_adamw_with_clipped_gradients():
    ours, reference = tiny_head(), tiny_head()
    update = AdamWConfig(lr_head=0.01).build(ours, make_accelerator("fp32"), max_grad_norm=1e-3)
    optimizer = torch.optim.AdamW(reference.parameters(), lr=0.005, weight_decay=0.01, betas=(0.9, 0.999), eps=1e-8)
    update.scale_learning_rates(0.5)
    for _ in range(3):
        observed = update.step(quadratic(ours))
        expected = quadratic(reference)()
        torch.nn.utils.clip_grad_norm_(reference.parameters(), 1e-3)
        optimizer.step()
        optimizer.zero_grad()
        assert observed.item() == pytest.approx(expected.item(), rel=1e-6)
    for mine, theirs in zip(ours.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-7)


def test_gradients_are_cleared_after_a_step():
    head = tiny_head()
    AdamWConfig().build(head, make_accelerator("fp32"), 1.0).step(quadratic(head))
    assert all(parameter.grad is None for parameter in head.parameters())


def test_learning_rates_are_scaled_from_their_peaks_not_from_the_last_ones():
    model = classifier(trained_layers=[0])
    update = AdamWConfig(lr_head=0.1, lr_backbone=0.01).build(model, make_accelerator("fp32"), 1.0)
    for factor in (0.5, 0.5, 0.25):
        update.scale_learning_rates(factor)
    assert update.learning_rate() == pytest.approx(0.025)
    assert [group["lr"] for group in update.state_dict()["param_groups"]] == pytest.approx([0.025, 0.0025])


def test_a_continued_optimizer_takes_the_same_next_step():
    whole, continued = tiny_head(), tiny_head()
    first = AdamWConfig().build(whole, make_accelerator("fp32"), 1.0)
    first.step(quadratic(whole))
    continued.load_state_dict(whole.state_dict())
    second = AdamWConfig().build(continued, make_accelerator("fp32"), 1.0)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    first.step(quadratic(whole))
    second.step(quadratic(continued))
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), continued.parameters(), strict=True))
