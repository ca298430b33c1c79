"""What may change while pretraining goes on, by name, and the change as an ordinary backbone again."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import Linear as LoraLinear
from torch import Tensor, nn

from stage1_core.adaptation.config import TrainablePartConfig
from stage1_core.adaptation.encoder import VisionTransformer
from stage1_core.errors import ModelError
from stage1_core.model.backbone import Backbone

_TARGETS = ("q_proj", "v_proj")
_ADAPTER = "default"
_MASK_TOKEN = "embeddings.mask_token"


@dataclass(frozen=True, slots=True)
class TrainableNames:
    """Names of the trainable parameters of an adapted network, each in one group, in the network's order."""

    lora: tuple[str, ...]
    """Low-rank factors of queries and values outside the unfrozen blocks."""
    blocks: tuple[str, ...]
    """The unfrozen blocks without their norms."""
    norms: tuple[str, ...]
    """All layer norms."""
    mask_token: tuple[str, ...]
    """It stands in for masked patches and never reaches the features of a whole picture."""

    @property
    def all(self) -> frozenset[str]:
        """Every name."""
        return frozenset((*self.lora, *self.blocks, *self.norms, *self.mask_token))


def adapted(backbone: Backbone, config: TrainablePartConfig) -> tuple[Backbone, TrainableNames]:
    """A copy that gives the same features, whose trainable parameters are exactly those that may change.

    The low-rank factors are drawn from the global generator. Raises `ModelError` for other architectures, and where
    fewer blocks than asked for, or not all query and value projections, are found.
    """
    copied = copy.deepcopy(backbone)
    network, transformer = copied.network, VisionTransformer.of(copied)
    low_rank, whole = _blocks(transformer, config)
    norms, unfrozen = _norms(network), _prefixes(transformer, whole)
    lora = LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,  # type: ignore[arg-type]  # annotated as int, used as a number
        lora_dropout=0.0,
        target_modules=list(_TARGETS),
        layers_to_transform=list(low_rank),
        layers_pattern="layer",
    )
    inject_adapter_in_model(lora, network, adapter_name=_ADAPTER)
    found, expected = len(_adapters(network)), len(low_rank) * len(_TARGETS)
    if found != expected:
        raise ModelError(f"{found} projections got a low-rank change instead of {expected}; this is not a known ViT")
    groups: dict[str, list[str]] = {"lora": [], "blocks": [], "norms": [], "mask_token": []}
    for name, parameter in network.named_parameters():
        group = _group(name, norms, unfrozen)
        parameter.requires_grad_(group is not None)
        if group is not None:
            groups[group].append(name)
    return copied.eval(), TrainableNames(**{group: tuple(names) for group, names in groups.items()})


@torch.no_grad()
def merged(original: Backbone, changed: Backbone) -> Backbone:
    """An ordinary frozen backbone with the weights of ``changed``, which `adapted` made of ``original``.

    Its class and state-dict keys are those of ``original``; both arguments are left as they are.
    """
    weights = dict(changed.network.state_dict())
    for name, module in _adapters(changed.network).items():
        key = f"{name}.base_layer.weight"
        weights[key] = weights[key] + module.get_delta_weight(_ADAPTER)
    plain = {key.replace(".base_layer.", "."): value for key, value in weights.items() if ".lora_" not in key}
    result = copy.deepcopy(original)
    result.network.load_state_dict(plain)
    return result


def may_change(backbone: Backbone, config: TrainablePartConfig) -> frozenset[str]:
    """State-dict names of an ordinary backbone whose values pretraining may change."""
    network, transformer = backbone.network, VisionTransformer.of(backbone)
    low_rank, whole = _blocks(transformer, config)
    norms, unfrozen = _norms(network), _prefixes(transformer, whole)
    projections = {
        f"{prefix}attention.{target}.weight" for prefix in _prefixes(transformer, low_rank) for target in _TARGETS
    }
    names = (name for name, _ in network.named_parameters())
    return frozenset(name for name in names if name in projections or _group(name, norms, unfrozen) is not None)


def changes(before: Backbone, after: Backbone) -> frozenset[str]:
    """State-dict names whose values differ in any bit. Raises `ModelError` for backbones of unequal architectures."""
    old, new = before.network.state_dict(), after.network.state_dict()
    differing = sorted(old.keys() ^ new.keys())
    if differing:
        raise ModelError(f"the two backbones are of different architectures: one lacks {', '.join(differing[:3])}")
    return frozenset(name for name, value in old.items() if not _same(value, new[name]))


def changed_wrongly(
    original: Backbone, changed: Backbone, plain: Backbone, config: TrainablePartConfig
) -> frozenset[str]:
    """State-dict names of ``original`` whose values may not change and did in ``changed``, which `adapted` made of it.

    ``plain`` is ``changed`` as `merged` gives it. The weights beneath low-rank factors must stay too: of these layers
    the factors alone are kept.
    """
    old, new = original.network.state_dict(), changed.network.state_dict()
    beneath = {f"{name}.weight": new[f"{name}.base_layer.weight"] for name in _adapters(changed.network)}
    moved = {name for name, weight in beneath.items() if not _same(weight, old[name])}
    return (changes(original, plain) - may_change(original, config)) | moved


def _same(one: Tensor, other: Tensor) -> bool:
    return torch.equal(one.cpu(), other.cpu())


def _blocks(transformer: VisionTransformer, config: TrainablePartConfig) -> tuple[range, range]:
    """Numbers of the blocks with low-rank changes, and of those that are trained whole."""
    total, whole = len(transformer.blocks), config.unfrozen_blocks
    if total <= whole:
        raise ModelError(f"a network of {total} blocks leaves none beside {whole} unfrozen ones; unfreeze fewer")
    return range(total - whole), range(total - whole, total)


def _prefixes(transformer: VisionTransformer, blocks: range) -> tuple[str, ...]:
    return tuple(f"{transformer.blocks_name}.{number}." for number in blocks)


def _norms(network: nn.Module) -> tuple[str, ...]:
    return tuple(f"{name}." for name, module in network.named_modules() if isinstance(module, nn.LayerNorm))


def _adapters(network: nn.Module) -> dict[str, LoraLinear]:
    return {name: module for name, module in network.named_modules() if isinstance(module, LoraLinear)}


def _group(name: str, norms: tuple[str, ...], unfrozen: tuple[str, ...]) -> str | None:
    if ".lora_" in name:
        return "lora"
    if name.startswith(norms):
        return "norms"
    if name.startswith(unfrozen):
        return "blocks"
    return "mask_token" if name == _MASK_TOKEN else None
