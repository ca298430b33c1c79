from __future__ import annotations

import pytest
import torch

from stage1_core.errors import ModelError
from stage1_core.model.adapters.adapted import adapt, adapted_modules, merge, trainable_census
from stage1_core.model.adapters.config import FullFineTuningConfig, LoraAdapterConfig
from tests.model.adapters.backbones import CONVNETS, LOW_RANK, VITS, pixels_for, trained

every_vit = pytest.mark.parametrize("name", VITS)


def expected(name, targets, blocks):
    vit = VITS[name]
    inside = {
        "attention_qv": vit.query_value,
        "attention": vit.query_value + vit.rest_of_attention,
        "all_linear": vit.query_value + vit.rest_of_attention + vit.mlp,
    }
    return {f"{block}.{layer}" for block in blocks for layer in inside[targets]}


@every_vit
@pytest.mark.parametrize("targets", ["attention_qv", "attention", "all_linear"])
@pytest.mark.parametrize("last_blocks", [None, 1, 2])
def test_the_adapted_layers_are_those_that_the_configuration_means(backbone_of, name, targets, last_blocks):
    config = LoraAdapterConfig(targets=targets, last_blocks=last_blocks)
    blocks = VITS[name].blocks if last_blocks is None else VITS[name].blocks[-last_blocks:]
    found = adapted_modules(adapt(backbone_of(name), config, seed=0))
    assert set(found) == expected(name, targets, blocks)
    assert len(found) == len(set(found))


@every_vit
@pytest.mark.parametrize("config", LOW_RANK, ids=lambda config: config.kind)
def test_only_parameters_of_adapters_are_trained_and_their_sizes_are_known(backbone_of, name, config):
    backbone = backbone_of(name)
    layers = {path: backbone.network.get_submodule(path) for path in expected(name, config.targets, VITS[name].blocks)}
    inputs = sum(layer.in_features for layer in layers.values())
    outputs = sum(layer.out_features for layer in layers.values())
    extra = {"lora": 0, "dora": outputs, "doran": outputs + len(layers)}[config.kind]
    adapted = adapt(backbone, config, seed=0)
    assert adapted.trainable_parameter_count == config.rank * (inputs + outputs) + extra
    assert all(".lora_" in parameter for parameter in trainable_census(adapted))


@every_vit
def test_the_last_block_is_fine_tuned_with_the_norm_behind_it_and_nothing_else(backbone_of, name):
    backbone = backbone_of(name)
    census = trainable_census(adapt(backbone, FullFineTuningConfig(last_blocks=1), seed=0))
    last = VITS[name].blocks[-1]
    inside = {f"base.network.{last}.{key}" for key, _ in backbone.network.get_submodule(last).named_parameters()}
    behind = {parameter.removeprefix("base.network.") for parameter in census.keys() - inside}
    assert inside <= census.keys()
    assert behind in ({"norm.weight", "norm.bias"}, {"layernorm.weight", "layernorm.bias"})


@every_vit
def test_full_fine_tuning_leaves_out_only_the_token_of_masked_pretraining(backbone_of, name):
    backbone = backbone_of(name)
    census = trainable_census(adapt(backbone, FullFineTuningConfig(), seed=0))
    left = {key for key, _ in backbone.network.named_parameters() if f"base.network.{key}" not in census}
    assert left == ({"embeddings.mask_token"} if name.startswith("dino") else set())


def test_attention_that_reads_the_weights_of_a_layer_is_made_to_call_it(backbone_of):
    """The trap: an adapter on `qkv` would be passed by, without an error and without an effect."""
    backbone = backbone_of("timm_dinov3_biased")
    assert all(block.attn.q_bias is not None and not block.attn.qkv_bias_separate for block in backbone.network.blocks)
    adapted = trained(adapt(backbone, LoraAdapterConfig(), seed=0))
    called = []
    for path in adapted_modules(adapted):
        layer = adapted.base.network.get_submodule(path)
        layer.register_forward_hook(lambda *_, path=path: called.append(path))
    adapted(pixels_for(backbone))
    assert called == list(adapted_modules(adapted))


@pytest.mark.parametrize("name", CONVNETS)
@pytest.mark.parametrize(
    "config", [*LOW_RANK, FullFineTuningConfig(last_blocks=1)], ids=["lora", "dora", "doran", "last block"]
)
def test_what_needs_transformer_blocks_is_refused_for_convolutional_networks(backbone_of, name, config):
    with pytest.raises(ModelError, match="has no transformer blocks as DINOv3"):
        adapt(backbone_of(name), config, seed=0)


def test_blocks_with_a_layer_more_than_is_known_are_refused(backbone_of):
    backbone = backbone_of("dinov3")
    other = merge(adapt(backbone, FullFineTuningConfig(), seed=0))
    other.network.model.layer[1].mlp.register_module("extra_proj", torch.nn.Linear(2, 2))
    with pytest.raises(ModelError, match=r"mlp\.extra_proj"):
        adapt(other, LoraAdapterConfig(), seed=0)


@pytest.mark.parametrize("config", [LoraAdapterConfig(last_blocks=3), FullFineTuningConfig(last_blocks=3)])
def test_more_blocks_than_there_are_are_refused(backbone_of, config):
    with pytest.raises(ModelError, match="last_blocks is 3, but DINOv3ViTModel has 2 blocks"):
        adapt(backbone_of("dinov3"), config, seed=0)
