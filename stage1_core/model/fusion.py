"""Folding batch norms into the convolutions before them, for inference only: half the time of a small CNN."""

from __future__ import annotations

import copy
import logging
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from stage1_core.model.backbone import Backbone

_LOGGER = logging.getLogger("stage1_core")
_MOST_DIFFERENCE = 1e-4


def for_inference(backbone: Backbone) -> Backbone:
    """A copy with batch norms folded and channels last in memory; its features are equal within 1e-4, relative.

    Not for saving or training: its parameters are no longer those of the architecture. Where folding would change the
    features, the copy keeps its batch norms.
    """
    plain = copy.deepcopy(backbone)
    if not any(isinstance(module, nn.BatchNorm2d) for module in plain.network.modules()):
        return plain.to(memory_format=torch.channels_last)
    pixels = _example(plain)
    with torch.inference_mode():
        expected = plain(pixels)
    folded = copy.deepcopy(plain)
    _fold(folded.network, _pairs(folded, pixels))
    with torch.inference_mode():
        difference = (folded(pixels) - expected).abs().max() / expected.abs().max().clamp_min(1e-12)
    if difference > _MOST_DIFFERENCE:
        _LOGGER.warning("batch norms are not folded: features would differ by %.1e, relative", float(difference))
        folded = plain
    return folded.to(memory_format=torch.channels_last)


def _example(backbone: Backbone) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, 3, *backbone.input_size, generator=generator).to(backbone.mean.device)


def _pairs(backbone: Backbone, pixels: Tensor) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Convolutions whose output goes, as it is, into a batch norm. Seen in a forward pass: tracing fails on many."""
    made_by: dict[int, tuple[nn.Conv2d, Tensor]] = {}
    pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []

    def remember(module: nn.Module, _inputs: Any, output: Tensor) -> None:
        assert isinstance(module, nn.Conv2d)
        made_by[id(output)] = (module, output)  # holding the tensor keeps its id from being given again

    def look_up(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(module, nn.BatchNorm2d)
        if id(inputs[0]) in made_by:
            pairs.append((made_by[id(inputs[0])][0], module))

    hooks = []
    for module in backbone.network.modules():
        if isinstance(module, nn.Conv2d):
            hooks.append(module.register_forward_hook(remember))
        elif isinstance(module, nn.BatchNorm2d):
            hooks.append(module.register_forward_pre_hook(look_up))
    with torch.inference_mode():
        backbone(pixels)
    for hook in hooks:
        hook.remove()
    used = [module for pair in pairs for module in pair]
    return [pair for pair in pairs if all(used.count(module) == 1 for module in pair)]


def _fold(network: nn.Module, pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d]]) -> None:
    leftover: dict[nn.Module, nn.Module] = {}
    for convolution, norm in pairs:
        if norm.running_mean is None or norm.running_var is None:
            continue
        weight, bias = fuse_conv_bn_weights(
            convolution.weight,
            convolution.bias,
            norm.running_mean,
            norm.running_var,
            norm.eps,
            norm.weight,
            norm.bias,
        )
        convolution.weight, convolution.bias = weight.requires_grad_(False), bias.requires_grad_(False)
        # timm's norms carry their activation inside.
        leftover[norm] = getattr(norm, "act", nn.Identity())
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if child in leftover:
                setattr(parent, name, leftover[child])
