"""What every member of the union promises, on every architecture."""

from __future__ import annotations

import copy
import inspect
from typing import get_args

import pytest
import torch
from pydantic import TypeAdapter

from stage1_core.config import FrozenModel
from stage1_core.model.adapters import config as configs
from stage1_core.model.adapters.adapted import AdaptedBackbone, adapt, adapted_modules, merge, trainable_census
from stage1_core.model.adapters.config import AdapterConfig
from stage1_core.model.adapters.files import WEIGHTS_FILE, load_adapter, save_adapter
from stage1_core.model.backbone import load_backbone, save_backbone
from stage1_core.model.state_dict import read_state_dict
from stage1_core.training.state import load_weights
from tests.model.adapters.backbones import CASES, CONFIGS, LOW_RANK, VITS, pixels_for, trained


def said(case):
    name, config = case
    return f"{name}-{config.kind}{'-last' if getattr(config, 'last_blocks', None) else ''}"


each_case = pytest.mark.parametrize(("name", "config"), CASES, ids=map(said, CASES))
MEMBERS = get_args(get_args(AdapterConfig)[0])


@pytest.fixture
def backbone(backbone_of, name):
    return backbone_of(name)


@pytest.fixture
def adapted(backbone, config) -> AdaptedBackbone:
    return adapt(backbone, config, seed=3)


def weights(model):
    return {name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad}


def test_every_configuration_with_a_kind_is_in_the_union_and_in_these_tests():
    tagged = {
        value
        for value in vars(configs).values()
        if inspect.isclass(value) and issubclass(value, FrozenModel) and "kind" in value.model_fields
    }
    assert set(MEMBERS) == tagged == {type(config) for config in CONFIGS}
    for config in CONFIGS:
        assert TypeAdapter(AdapterConfig).validate_json(config.to_json()) == config


@each_case
def test_features_begin_as_those_of_the_backbone(backbone, adapted):
    pixels = pixels_for(backbone)
    torch.testing.assert_close(adapted(pixels), backbone(pixels), rtol=0, atol=1e-6)
    assert (adapted.hidden, adapted.input_size) == (backbone.hidden, backbone.input_size)


@each_case
def test_the_given_backbone_stays_as_it_is(backbone, adapted):
    names, before = list(backbone.network.state_dict()), backbone(pixels_for(backbone))
    merge(trained(adapted))
    assert list(backbone.network.state_dict()) == names
    assert torch.equal(backbone(pixels_for(backbone)), before)
    assert not trainable_census(backbone)


@each_case
def test_all_that_is_trained_gets_a_gradient_and_moves_features(backbone, config, adapted):
    pixels = pixels_for(backbone)
    features = trained(adapted).train()(pixels)
    assert features.requires_grad == (config.kind != "frozen")
    if features.requires_grad:
        features.square().sum().backward()
        assert (features - backbone(pixels)).abs().max() > 1e-3
    assert {name for name, value in adapted.named_parameters() if value.grad is not None} == weights(adapted).keys()
    assert all(value.grad.abs().max() > 0 for value in adapted.parameters() if value.requires_grad)


@each_case
def test_training_mode_changes_nothing_where_an_adapter_has_no_dropout(backbone, adapted):
    before = {name: value.clone() for name, value in adapted.state_dict().items()}
    expected = trained(adapted)(pixels_for(backbone))
    changed = {name: value.clone() for name, value in adapted.state_dict().items()}
    adapted.train()
    assert torch.equal(adapted(pixels_for(backbone)), expected)
    assert all(torch.equal(value, changed[name]) for name, value in adapted.state_dict().items())
    assert {name for name, value in before.items() if not torch.equal(value, changed[name])} == weights(adapted).keys()


@each_case
def test_merged_it_is_an_ordinary_frozen_backbone_with_the_features_it_had(backbone, adapted, tmp_path):
    pixels = pixels_for(backbone)
    expected = trained(adapted)(pixels).detach()
    merged = merge(adapted.train())
    assert torch.equal(adapted.eval()(pixels), expected), "merging must not change what is merged"
    torch.testing.assert_close(merged(pixels), expected, rtol=1e-5, atol=1e-5)
    assert list(merged.network.state_dict()) == list(backbone.network.state_dict())
    assert [type(module) for module in merged.modules()] == [type(module) for module in backbone.modules()]
    assert not trainable_census(merged)
    assert not any(module.training for module in merged.modules())

    again = load_backbone(save_backbone(merged, tmp_path / "merged"), device="cpu")
    save_backbone(backbone, tmp_path / "original")
    torch.testing.assert_close(again(pixels), merged(pixels), rtol=1e-6, atol=1e-6)
    for file in (tmp_path / "original").glob("*.json"):
        assert (tmp_path / "merged" / file.name).read_bytes() == file.read_bytes()


@each_case
def test_a_saved_adapter_holds_what_was_trained_and_gives_the_same_features(backbone, adapted, tmp_path):
    trained(adapted)
    for folder in ("one", "two"):
        save_adapter(adapted, tmp_path / folder)
    again = load_adapter(backbone, tmp_path / "one")
    assert again.config == adapted.config
    assert torch.equal(again(pixels_for(backbone)), adapted(pixels_for(backbone)))
    stored = read_state_dict(tmp_path / "one" / WEIGHTS_FILE)
    assert {f"base.network.{name}" for name in stored} == weights(adapted).keys()
    files = [{file.name: file.read_bytes() for file in (tmp_path / folder).iterdir()} for folder in ("one", "two")]
    assert files[0] == files[1]
    assert len(files[0]) == 2


@each_case
def test_the_census_counts_every_trained_weight_once(config, adapted):
    assert trainable_census(adapted) == {name: value.numel() for name, value in weights(adapted).items()}
    assert adapted.trainable_parameter_count == sum(value.numel() for value in weights(adapted).values())
    assert (adapted.trainable_parameter_count == 0) == (config.kind == "frozen")


@each_case
def test_weights_move_between_copies_by_name(backbone, adapted):
    other = copy.deepcopy(adapted)
    trained(adapted)
    assert torch.equal(other(pixels_for(backbone)), adapt(backbone, adapted.config, seed=3)(pixels_for(backbone)))
    load_weights(other, weights(adapted))
    assert torch.equal(other(pixels_for(backbone)), adapted(pixels_for(backbone)))


@pytest.mark.parametrize("config", LOW_RANK, ids=lambda config: config.kind)
def test_what_is_drawn_depends_on_the_seed_alone(backbone_of, config, monkeypatch):
    backbone = backbone_of("dinov3")
    torch.manual_seed(0)
    before = torch.get_rng_state()
    monkeypatch.delattr(torch.cuda, "manual_seed_all")  # seeding every device would call it
    first, again, other = (weights(adapt(backbone, config, seed=seed)) for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert {name for name, value in first.items() if not torch.equal(value, other[name])} == {
        name for name in first if ".lora_A." in name
    }


@pytest.mark.parametrize("name", VITS)
@pytest.mark.parametrize("config", LOW_RANK, ids=lambda config: config.kind)
def test_the_dropout_of_adapters_follows_the_mode(backbone_of, name, config):
    backbone = backbone_of(name)
    adapted = trained(adapt(backbone, config.model_copy(update={"dropout": 0.5}), seed=3))
    pixels = pixels_for(backbone)
    expected = adapted(pixels)
    assert torch.equal(adapted(pixels), expected)
    adapted.train()
    assert not torch.allclose(adapted(pixels), adapted(pixels), atol=1e-4)
    assert torch.equal(adapted.eval()(pixels), expected)
    assert len(adapted_modules(adapted)) > 0


@pytest.mark.parametrize("config", LOW_RANK, ids=lambda config: config.kind)
def test_what_was_merged_can_be_adapted_again(backbone_of, config):
    backbone = backbone_of("dinov3")
    merged = merge(trained(adapt(backbone, config, seed=3)))
    again = adapt(merged, config, seed=4)
    assert torch.equal(again(pixels_for(backbone)), merged(pixels_for(backbone)))
    assert trainable_census(again) == trainable_census(adapt(backbone, config, seed=3))
