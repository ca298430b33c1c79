"""The frozen backbone: [0, 1] pixels in, one feature vector a picture out, always in evaluation mode."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from stage1_core.errors import ModelError
from stage1_core.model.backbone_config import (
    BackboneConfig,
    TimmBackboneConfig,
    TransformersBackboneConfig,
)
from stage1_core.model.network import LoadedNetwork
from stage1_core.model.weights import backbone_digest, saved_backbone_config


class Backbone(nn.Module):
    """A network without gradients that stays in evaluation mode even when a parent module is set to train.

    DINOv3 rescales its position embeddings at random in training mode, and batch norms drift: cached features would
    not be those of the trained model. Adapters that need dropout set their own modules to training mode.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: BackboneConfig, loaded: LoadedNetwork) -> None:
        super().__init__()
        self.config = config
        self.network = loaded.network.requires_grad_(False)
        self.hidden = loaded.hidden
        self.input_size = loaded.input_size
        self.normalization = loaded.normalization
        self._features = loaded.features
        self._patch_tokens = loaded.patch_tokens
        self.register_buffer("mean", torch.tensor(loaded.normalization.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(loaded.normalization.std).view(1, 3, 1, 1), persistent=False)
        self.eval()

    @property
    def parameter_count(self) -> int:
        """Number of weights, trainable or not."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    @property
    def has_patch_tokens(self) -> bool:
        """Whether `patch_tokens` can answer."""
        return self._patch_tokens is not None

    def forward(self, pixels: Tensor) -> Tensor:
        """Features ``(n, hidden)`` of ``pixels`` ``(n, 3, h, w)`` in [0, 1]. Raises `ModelError` for other shapes."""
        return self._features(self.network, self._normalised(pixels))

    def patch_tokens(self, pixels: Tensor) -> Tensor:
        """Tokens ``(n, tokens, hidden)`` without class token and registers, row by row.

        Raises `ModelError` for networks that have none.
        """
        if self._patch_tokens is None:
            raise ModelError(f"{self.config.model} has no patch tokens; use a vision transformer such as DINOv3 ViT")
        return self._patch_tokens(self.network, self._normalised(pixels))

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode, whatever ``mode`` is."""
        return super().train(False)

    def _normalised(self, pixels: Tensor) -> Tensor:
        if pixels.ndim != 4 or pixels.shape[1] != 3 or not pixels.is_floating_point():
            raise ModelError(
                f"pixels are {tuple(pixels.shape)} {pixels.dtype}; a backbone takes (n, 3, h, w) floats in [0, 1]"
            )
        return (pixels - self.mean) / self.std


def load_backbone(config: BackboneConfig, *, device: str | torch.device) -> Backbone:
    """The backbone that ``config`` names, frozen, on ``device``, in float32.

    Raises `ModelError` when files are missing, damaged, do not fit the architecture, or a hub look-up fails.
    """
    if isinstance(config, TransformersBackboneConfig):
        from stage1_core.model.transformers_backbone import load_transformers_network

        loaded = load_transformers_network(config)
    else:
        from stage1_core.model.timm_backbone import load_timm_network

        loaded = load_timm_network(config)
    return Backbone(config, loaded).to(device)


def save_backbone(backbone: Backbone, folder: Path) -> BackboneConfig:
    """Write config and safetensors weights to ``folder`` (created); the returned config loads the same outputs.

    Equal backbones give equal bytes. `saved_backbone_config` finds the config again after the folder has moved.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(backbone.config, TransformersBackboneConfig):
        from stage1_core.model.transformers_backbone import save_transformers_network

        save_transformers_network(backbone.config, backbone.network, folder)
    else:
        from stage1_core.model.timm_backbone import save_timm_network

        save_timm_network(backbone.config, backbone.network, backbone.normalization, folder)
    return saved_backbone_config(folder)


__all__ = [
    "Backbone",
    "BackboneConfig",
    "TimmBackboneConfig",
    "TransformersBackboneConfig",
    "backbone_digest",
    "load_backbone",
    "save_backbone",
    "saved_backbone_config",
]
