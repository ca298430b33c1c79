"""Small real backbones of every architecture that adapters know, what their blocks hold, and some that they refuse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import register_model
from torch import Tensor, nn

from stage1_core.model.adapters.adapted import AdaptedBackbone
from stage1_core.model.adapters.config import (
    DoraAdapterConfig,
    DoranAdapterConfig,
    FrozenBackboneConfig,
    FullFineTuningConfig,
    LoraAdapterConfig,
)
from stage1_core.model.backbone import Backbone
from stage1_core.model.backbone_config import BackboneConfig, RandomWeights, TimmBackboneConfig
from tests.model import backbone_folders

TINY = {"depth": 2, "embed_dim": 32, "num_heads": 2, "init_values": 1.0, "img_size": 32, "patch_size": 8}
"""With layer scales of 1: at timm's 1e-5 an untrained block changes features by next to nothing."""


@register_model
def tiny_dinov3_gated(pretrained: bool = False, **options: Any) -> nn.Module:
    return timm.create_model("vit_small_plus_patch16_dinov3", **(TINY | options))


@register_model
def tiny_dinov3_biased(pretrained: bool = False, **options: Any) -> nn.Module:
    return timm.create_model("vit_tiny_patch16_dinov3_qkvb", **(TINY | options))


@register_model
def tiny_eva_separate(pretrained: bool = False, **options: Any) -> nn.Module:
    return timm.create_model("vit_tiny_patch16_dinov3_qkvb", **(TINY | {"qkv_fused": False} | options))


def by_name(model: str) -> Callable[[Path], TimmBackboneConfig]:
    return lambda folder: TimmBackboneConfig(model=model, weights=RandomWeights(seed=1))


@dataclass(frozen=True)
class Architecture:
    """A vision transformer and, spelled out, the linear layers of each of its blocks."""

    make: Callable[[Path], BackboneConfig]
    blocks: tuple[str, ...]
    query_value: tuple[str, ...]
    rest_of_attention: tuple[str, ...]
    mlp: tuple[str, ...]


PROJECTIONS = ("attention.q_proj", "attention.v_proj"), ("attention.k_proj", "attention.o_proj")
PLAIN, GATED = ("mlp.up_proj", "mlp.down_proj"), ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
NUMBERED, NUMBERED_GATED = ("mlp.fc1", "mlp.fc2"), ("mlp.fc1_g", "mlp.fc1_x", "mlp.fc2")
FUSED = ("attn.qkv",), ("attn.proj",)
SEPARATE = ("attn.q_proj", "attn.v_proj"), ("attn.k_proj", "attn.proj")
DINOV3, DINOV2 = ("model.layer.0", "model.layer.1"), ("encoder.layer.0", "encoder.layer.1")
TIMM = ("blocks.0", "blocks.1")

VITS = {
    "dinov3": Architecture(backbone_folders.dinov3_vit, DINOV3, *PROJECTIONS, PLAIN),
    "dinov3_gated": Architecture(backbone_folders.dinov3_vit_gated, DINOV3, *PROJECTIONS, GATED),
    "dinov2": Architecture(backbone_folders.dinov2, DINOV2, *PROJECTIONS, NUMBERED),
    "dinov2_registers": Architecture(backbone_folders.dinov2_with_registers, DINOV2, *PROJECTIONS, NUMBERED),
    "timm_vit": Architecture(backbone_folders.timm_vit, tuple(f"blocks.{n}" for n in range(6)), *FUSED, NUMBERED),
    "timm_dinov3_gated": Architecture(by_name("tiny_dinov3_gated"), TIMM, *FUSED, NUMBERED_GATED),
    "timm_dinov3_biased": Architecture(by_name("tiny_dinov3_biased"), TIMM, *FUSED, NUMBERED),
    "timm_separate": Architecture(by_name("tiny_eva_separate"), TIMM, *SEPARATE, NUMBERED),
}
CONVNETS = {"dinov3_convnext": backbone_folders.dinov3_convnext, "timm_convnet": backbone_folders.timm_convnet}

LOW_RANK = (LoraAdapterConfig(rank=4), DoraAdapterConfig(rank=4, targets="all_linear"), DoranAdapterConfig(rank=4))
ANYWHERE = (FrozenBackboneConfig(), FullFineTuningConfig())
CONFIGS = (*ANYWHERE, FullFineTuningConfig(last_blocks=1), *LOW_RANK)
"""Every member of the union; those of `ANYWHERE` take networks of any architecture."""
CASES = [
    *((name, config) for name in VITS for config in CONFIGS),
    *((name, config) for name in CONVNETS for config in ANYWHERE),
]


def pixels_for(backbone: Backbone) -> Tensor:
    small = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    takes_any = getattr(backbone.network, "dynamic_img_size", False)  # timm states 256 px also for a tiny DINOv3
    return small if takes_any else nn.functional.interpolate(small, size=backbone.input_size)


@torch.no_grad()
def trained(adapted: AdaptedBackbone, seed: int = 0) -> AdaptedBackbone:
    """``adapted`` in place, with every trained parameter moved as a training would."""
    draw = torch.Generator().manual_seed(seed)
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=draw))
    return adapted
