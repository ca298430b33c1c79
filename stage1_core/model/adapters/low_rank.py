"""Putting LoRA, DoRA and DoRAN beside the weights of a network, and folding them into the weights, through peft."""

from __future__ import annotations

from typing import Any, assert_never

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import Linear
from torch import nn

from stage1_core.errors import ModelError
from stage1_core.model.adapters.config import DoraAdapterConfig, DoranAdapterConfig, LoraAdapterConfig
from stage1_core.model.adapters.doran import DoranLoraConfig
from stage1_core.model.adapters.targets import adaptable_layers

AnyLowRankConfig = LoraAdapterConfig | DoraAdapterConfig | DoranAdapterConfig


def add_low_rank(network: nn.Module, config: AnyLowRankConfig, *, seed: int) -> None:
    """Adapt ``network`` in place; its outputs are what they were. A is a function of ``seed``, B is 0.

    Raises `ModelError` where there are no such layers, or others than these were adapted.
    """
    wanted = adaptable_layers(network, config.targets, config.last_blocks)
    _let_layers_be_called(network)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # peft initialises from it, on the CPU
        inject_adapter_in_model(_peft_config(config, wanted), network)
    del network.peft_config  # peft leaves it behind, and would take it for a second adapter after merging
    found = adapted_layers(network)
    if sorted(found) != sorted(wanted):
        raise ModelError(
            f"{len(found)} layers were adapted where {config.targets} means {len(wanted)}, e.g. "
            f"{sorted(set(found) ^ set(wanted))[0]}; use the version of peft that this one was tested with"
        )


def adapted_layers(network: nn.Module) -> dict[str, Linear]:
    """The layers with an adapter, by name."""
    return {name: module for name, module in network.named_modules() if isinstance(module, Linear)}


def fold_low_rank(network: nn.Module) -> None:
    """Add the adapters to the weights, in place, and leave only these. Raises `ModelError` for weights not finite."""
    for name, layer in adapted_layers(network).items():
        try:
            layer.merge(safe_merge=True)
        except ValueError as error:
            raise ModelError(f"{name} cannot be merged ({error}); its training has diverged: lower the rate") from error
        network.set_submodule(name, layer.get_base_layer(), strict=True)


def _peft_config(config: AnyLowRankConfig, layers: tuple[str, ...]) -> LoraConfig:
    shared: dict[str, Any] = {
        "r": config.rank,
        "lora_alpha": config.alpha,
        "lora_dropout": config.dropout,
        "target_modules": list(layers),
    }
    match config:
        case LoraAdapterConfig():
            return LoraConfig(**shared)
        case DoraAdapterConfig():
            return LoraConfig(**shared, use_dora=True)
        case DoranAdapterConfig():
            return DoranLoraConfig(**shared, initial_tau=config.initial_tau)
    assert_never(config)


def _let_layers_be_called(network: nn.Module) -> None:
    # timm's attention with biases for query and value alone reads the weight of `qkv` and passes by the layer itself,
    # and with it by any adapter, unless told to add the biases afterwards.
    attention: Any
    for attention in network.modules():
        if getattr(attention, "qkv_bias_separate", None) is False:
            attention.qkv_bias_separate = True
