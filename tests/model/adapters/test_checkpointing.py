from __future__ import annotations

import pytest
import torch

from stage1_core.errors import ModelError
from stage1_core.model.adapters.adapted import adapt, merge
from stage1_core.model.adapters.config import FullFineTuningConfig
from tests.model.adapters.backbones import LOW_RANK, VITS, pixels_for, trained

CONFIGS = (FullFineTuningConfig(), FullFineTuningConfig(last_blocks=1), *LOW_RANK)
each_config = pytest.mark.parametrize("config", CONFIGS, ids=["full", "last block", "lora", "dora", "doran"])


def pair(backbone, config):
    """The same adapter, keeping activations and not."""
    if config in LOW_RANK:
        config = config.model_copy(update={"dropout": 0.4})
    frugal = config.model_copy(update={"gradient_checkpointing": True})
    return [trained(adapt(backbone, each, seed=0)).train() for each in (config, frugal)]


def pass_over(adapted, pixels):
    """Gradients by name, and the bytes kept for the backward pass."""
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    torch.manual_seed(5)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = adapted(pixels).square().sum()
    loss.backward()
    gradients = {name: value.grad for name, value in adapted.named_parameters() if value.grad is not None}
    adapted.zero_grad()
    return gradients, sum(kept.values())


@pytest.mark.parametrize("name", VITS)
@each_config
def test_gradients_are_the_same_and_less_is_kept(backbone_of, name, config):
    backbone = backbone_of(name)
    keeping, frugal = pair(backbone, config)
    pixels = pixels_for(backbone).repeat(8, 1, 1, 1)
    expected, much = pass_over(keeping, pixels)
    found, little = pass_over(frugal, pixels)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-5, atol=1e-6)
    assert little < 0.8 * much


@pytest.mark.parametrize("name", ["dinov3", "timm_vit"])
def test_it_is_off_in_evaluation_and_gone_when_merged(backbone_of, name):
    backbone = backbone_of(name)
    keeping, frugal = pair(backbone, LOW_RANK[0])
    pixels = pixels_for(backbone)
    with torch.inference_mode():
        assert torch.equal(frugal.eval()(pixels), keeping.eval()(pixels))
    merged = merge(frugal.train())
    assert not any(getattr(module, "gradient_checkpointing", False) for module in merged.modules())
    assert not getattr(merged.network, "grad_checkpointing", False)
    assert not any(module.training for module in frugal.eval().modules())


def test_positions_are_not_rescaled_while_blocks_are_checkpointed(backbone_of):
    backbone = backbone_of("dinov3")
    frugal = adapt(backbone, FullFineTuningConfig(gradient_checkpointing=True), seed=0).train()
    assert torch.equal(frugal(pixels_for(backbone)), backbone(pixels_for(backbone)))
    assert not frugal.base.network.rope_embeddings.training


def test_a_network_that_cannot_is_refused(backbone_of):
    with pytest.raises(ModelError, match="DINOv3ConvNextModel has no gradient checkpointing"):
        adapt(backbone_of("dinov3_convnext"), FullFineTuningConfig(gradient_checkpointing=True), seed=0)
