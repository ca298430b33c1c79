"""DINOv3 and DINOv2 through transformers. Class token first, then registers, then patches."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoConfig, AutoImageProcessor, AutoModel
from transformers.utils import logging as transformers_logging

from stage1_core.errors import ModelError
from stage1_core.model.backbone_config import Normalization, TransformersBackboneConfig
from stage1_core.model.network import LoadedNetwork
from stage1_core.model.weights import transformers_folder

_MODEL_TYPES = ("dinov3_vit", "dinov3_convnext", "dinov2", "dinov2_with_registers")


def load_transformers_network(config: TransformersBackboneConfig) -> LoadedNetwork:
    """The model in its folder or hub snapshot, read without pickles or remote code. Raises `ModelError`."""
    folder = transformers_folder(config)
    try:
        settings = AutoConfig.from_pretrained(folder)
        if settings.model_type not in _MODEL_TYPES:
            raise ModelError(
                f"{config.model} is a {settings.model_type} model; this loader reads {', '.join(_MODEL_TYPES)}: "
                'use kind "timm" for others'
            )
        processor = _processor(folder)
        with without_progress_bars():
            network, report = AutoModel.from_pretrained(
                folder,
                dtype=torch.float32,
                use_safetensors=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # refused below, with a better message
            )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"{config.model} cannot be loaded ({reason}); copy or download the folder again") from error
    lacking = sorted([*report["missing_keys"], *(name for name, *_ in report["mismatched_keys"])])
    if lacking:  # transformers would go on with random numbers in their place
        raise ModelError(
            f"{config.model}: its weights lack {len(lacking)} tensors of the architecture, e.g. {lacking[0]}; "
            "config.json and model.safetensors are not of one model"
        )
    registers = getattr(settings, "num_register_tokens", 0) or 0
    return LoadedNetwork(
        network=network,
        features=_class_token,
        patch_tokens=functools.partial(_tokens_from, first=1 + registers),
        hidden=settings.hidden_sizes[-1] if settings.model_type == "dinov3_convnext" else settings.hidden_size,
        input_size=_input_size(processor),
        normalization=Normalization(mean=tuple(processor.image_mean), std=tuple(processor.image_std)),
    )


def save_transformers_network(config: TransformersBackboneConfig, network: nn.Module, folder: Path) -> None:
    """Model and image processor as transformers writes them, weights as safetensors."""
    processor = _processor(transformers_folder(config))
    with without_progress_bars():
        network.save_pretrained(folder)  # type: ignore[operator]  # a PreTrainedModel
        processor.save_pretrained(folder)


def _class_token(network: nn.Module, pixels: Tensor) -> Tensor:
    tokens: Tensor = network(pixel_values=pixels).last_hidden_state
    return tokens[:, 0]


def _tokens_from(network: nn.Module, pixels: Tensor, *, first: int) -> Tensor:
    tokens: Tensor = network(pixel_values=pixels).last_hidden_state
    return tokens[:, first:]


def _processor(folder: Path) -> Any:  # transformers does not type its processors
    return AutoImageProcessor.from_pretrained(folder)  # type: ignore[no-untyped-call]


def _input_size(processor: Any) -> tuple[int, int]:
    size = processor.crop_size if getattr(processor, "do_center_crop", None) else processor.size
    if size.get("height") and size.get("width"):
        return int(size["height"]), int(size["width"])
    return int(size["shortest_edge"]), int(size["shortest_edge"])


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """Inside the block transformers reads and writes weights without drawing bars."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
