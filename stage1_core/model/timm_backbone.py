"""Any timm model without its classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import save_file
from timm.data.config import resolve_model_data_config
from torch import Tensor, nn

from stage1_core.digests import canonical_json
from stage1_core.errors import ModelError
from stage1_core.model.backbone_config import Normalization, RandomWeights, TimmBackboneConfig
from stage1_core.model.network import LoadedNetwork
from stage1_core.model.state_dict import load_whole, read_state_dict, renamed_by_order
from stage1_core.model.weights import timm_weights_file


def load_timm_network(config: TimmBackboneConfig) -> LoadedNetwork:
    """The model with the weights that ``config`` names, its classifier removed. Raises `ModelError`."""
    network = _with_weights(config)
    tokens = getattr(network, "num_prefix_tokens", None)
    if config.pooling == "token" and getattr(network, "cls_token", None) is None:
        raise ModelError(f'{config.model} has no class token; set pooling to "avg" or "model"')
    network.reset_classifier(0, *([] if config.pooling == "model" else [config.pooling]))
    settings = resolve_model_data_config(network)  # type: ignore[no-untyped-call]
    return LoadedNetwork(
        network=network,
        features=_features,
        patch_tokens=None if tokens is None else _patch_tokens,
        hidden=int(getattr(network, "head_hidden_size", network.num_features)),
        input_size=(int(settings["input_size"][1]), int(settings["input_size"][2])),
        normalization=config.normalization or Normalization(mean=settings["mean"], std=settings["std"]),
    )


def save_timm_network(
    config: TimmBackboneConfig, network: nn.Module, normalization: Normalization, folder: Path
) -> None:
    """config.json (the config without its weights' place) and model.safetensors."""
    whole = config.model_copy(update={"normalization": normalization})
    content = whole.model_dump(mode="json", exclude={"weights"})
    (folder / "config.json").write_bytes(canonical_json(content, indent=2) + b"\n")
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    save_file(state, folder / "model.safetensors")


def _with_weights(config: TimmBackboneConfig) -> Any:  # timm's models share no typed base
    """The full model, as its weights were trained: pooling other than its own would rename its norms."""
    file = timm_weights_file(config)
    seed = config.weights.seed if isinstance(config.weights, RandomWeights) else 0
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # timm initialises from it, on the CPU
        try:
            if config.weights.kind == "pretrained":
                return timm.create_model(config.model, pretrained=True, pretrained_cfg_overlay={"file": str(file)})
            network: Any = timm.create_model(config.model, pretrained=False)
        except (RuntimeError, ValueError, OSError, KeyError) as error:
            reason = str(error).splitlines()[0]
            raise ModelError(f"timm cannot make {config.model!r} ({reason}); check name and weights") from error
    if file is None:
        return network
    state = read_state_dict(file)
    if config.weights.kind == "package":
        state = renamed_by_order(state, network, source=str(file))
    classifier = network.pretrained_cfg.get("classifier") or ()
    load_whole(
        network,
        state,
        source=str(file),
        may_lack=(classifier,) if isinstance(classifier, str) else tuple(classifier),
    )
    return network


def _features(network: nn.Module, pixels: Tensor) -> Tensor:
    features: Tensor = network(pixels)
    return features


def _patch_tokens(network: Any, pixels: Tensor) -> Tensor:
    tokens: Tensor = network.forward_features(pixels)
    return tokens[:, network.num_prefix_tokens :]
