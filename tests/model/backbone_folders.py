"""Small real backbones on disk, one for each architecture that the loaders read."""

from __future__ import annotations

from pathlib import Path

import timm
import torch
from safetensors.torch import save_file
from transformers import (
    BitImageProcessor,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    DINOv3ConvNextConfig,
    DINOv3ConvNextModel,
    DINOv3ViTConfig,
    DINOv3ViTImageProcessor,
    DINOv3ViTModel,
    PreTrainedModel,
)

from stage1_core.model.backbone_config import FileWeights, TimmBackboneConfig, TransformersBackboneConfig

MEAN, STD = (0.43, 0.411, 0.296), (0.213, 0.156, 0.143)
VIT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}


def dinov3_vit(folder: Path, *, gated: bool = False) -> TransformersBackboneConfig:
    config = DINOv3ViTConfig(**VIT, intermediate_size=64, num_register_tokens=4, use_gated_mlp=gated)
    return _saved(folder, DINOv3ViTModel, config)


def dinov3_vit_gated(folder: Path) -> TransformersBackboneConfig:
    return dinov3_vit(folder, gated=True)


def dinov3_convnext(folder: Path) -> TransformersBackboneConfig:
    return _saved(folder, DINOv3ConvNextModel, DINOv3ConvNextConfig(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1]))


def dinov2(folder: Path) -> TransformersBackboneConfig:
    return _saved(folder, Dinov2Model, Dinov2Config(**VIT, mlp_ratio=2))


def dinov2_with_registers(folder: Path) -> TransformersBackboneConfig:
    config = Dinov2WithRegistersConfig(**VIT, mlp_ratio=2, num_register_tokens=4)
    return _saved(folder, Dinov2WithRegistersModel, config)


def timm_vit(folder: Path) -> TimmBackboneConfig:
    return _timm_file(folder, "test_vit", ".safetensors")


def timm_convnet(folder: Path) -> TimmBackboneConfig:
    return _timm_file(folder, "test_efficientnet", ".pth")


TRANSFORMERS = (dinov3_vit, dinov3_vit_gated, dinov3_convnext, dinov2, dinov2_with_registers)
TIMM = (timm_vit, timm_convnet)


def _saved(folder: Path, model_class: type[PreTrainedModel], config: object) -> TransformersBackboneConfig:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = model_class(config)
    model.save_pretrained(folder)
    if "dinov2" in config.model_type:
        crop = {"height": 32, "width": 32}
        size = {"shortest_edge": 40}
        processor = BitImageProcessor(image_mean=MEAN, image_std=STD, size=size, crop_size=crop)
    else:
        processor = DINOv3ViTImageProcessor(image_mean=MEAN, image_std=STD, size={"height": 32, "width": 32})
    processor.save_pretrained(folder)
    return TransformersBackboneConfig(model=str(folder))


def _timm_file(folder: Path, model: str, suffix: str) -> TimmBackboneConfig:
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = timm.create_model(model).state_dict()
    path = folder / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    return TimmBackboneConfig(model=model, weights=FileWeights(path=str(path)))
