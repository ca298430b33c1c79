from __future__ import annotations

import pytest
import torch
from peft import inject_adapter_in_model

from stage1_core.model.adapters.doran import DoranLoraConfig
from stage1_core.training.adamw import AdamWConfig, parameter_groups
from stage1_core.training.execution import make_accelerator
from tests.training.toys import classifier, quadratic, tiny_head


def test_head_and_backbone_have_learning_rates_of_their_own():
    groups = parameter_groups(classifier(trained_layers=[1]), lr_head=1e-4, lr_backbone=1e-5)
    assert [(group["lr"], len(group["params"])) for group in groups] == [(1e-4, 4), (1e-5, 2)]


def test_frozen_parameters_are_in_no_group():
    groups = parameter_groups(classifier(trained_layers=[]), lr_head=1e-4, lr_backbone=1e-5)
    assert [(group["lr"], len(group["params"])) for group in groups] == [(1e-4, 4)]


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


def test_magnitudes_and_tau_of_an_adapter_do_not_decay_and_its_matrices_do():
    model = classifier(trained_layers=[])
    inject_adapter_in_model(DoranLoraConfig(r=2, target_modules=["0", "1"]), model.backbone)
    before = {name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad}
    update = AdamWConfig(lr_head=0.1, lr_backbone=0.1, weight_decay=0.5).build(model, make_accelerator("fp32"), 1.0)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None
    update.follow_gradients()
    after = dict(model.named_parameters())
    still = {name for name, value in before.items() if torch.equal(value, after[name]) and value.any()}
    assert still == {name for name in before if "lora_magnitude_vector" in name}
    assert sum(name.endswith("raw_tau") for name in still) == 2
    assert len(still) == 4
