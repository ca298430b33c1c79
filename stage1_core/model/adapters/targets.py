"""Which layers of a network are trained: found by the names of each known kind of transformer block, or refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from stage1_core.errors import ModelError
from stage1_core.model.adapters.config import Targets

_BLOCK_LISTS = ("model.layer", "encoder.layer", "blocks")
"""Where DINOv3 and DINOv2 of transformers, and timm's transformers, keep their blocks."""
_FINAL_NORMS = ("norm", "layernorm", "fc_norm")
_UNUSED = ("mask_token",)
"""Parameters of masked pre-training, which features do not depend on."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """Names of all linear layers inside a block."""

    query_value: tuple[str, ...]
    attention: tuple[str, ...]
    mlp: tuple[str, ...]

    def chosen(self, targets: Targets) -> tuple[str, ...]:
        choices = {"attention_qv": self.query_value, "attention": self.attention}
        return choices.get(targets, self.attention + self.mlp)


def _layouts() -> Iterator[_Layout]:
    """Known blocks: transformers has a layer each for query, key and value, timm mostly one for the three."""
    for attention, output, mlps in (
        ("attention", "o_proj", (("up_proj", "down_proj"), ("gate_proj", "up_proj", "down_proj"), ("fc1", "fc2"))),
        ("attn", "proj", (("fc1", "fc2"), ("fc1_g", "fc1_x", "fc2"))),
    ):
        names = ("q_proj", "k_proj", "v_proj", "qkv", output)
        query, key, value, fused, out = (f"{attention}.{name}" for name in names)
        for layers in mlps:
            mlp = tuple(f"mlp.{name}" for name in layers)
            yield _Layout((query, value), (query, key, value, out), mlp)
            yield _Layout((fused,), (fused, out), mlp)


def adaptable_layers(network: nn.Module, targets: Targets, last_blocks: int | None) -> tuple[str, ...]:
    """Names of the linear layers that ``targets`` means in the last blocks (None: all), first to last.

    Raises `ModelError` for networks without known transformer blocks, and for more blocks than there are.
    """
    blocks = _last(network, last_blocks)
    inside = _layout(network, blocks).chosen(targets)
    return tuple(f"{block}.{name}" for block in blocks for name in inside)


def fine_tuned_parameters(network: nn.Module, last_blocks: int | None) -> dict[str, nn.Parameter]:
    """By name: all parameters that features depend on, or those of the last blocks and the norm behind them.

    Raises `ModelError` as `adaptable_layers` does, but where ``last_blocks`` is None takes any network.
    """
    named = {name: parameter for name, parameter in network.named_parameters() if not name.endswith(_UNUSED)}
    if last_blocks is None:
        return named
    blocks = _last(network, last_blocks)
    _layout(network, blocks)
    inside = tuple(f"{place}." for place in (*blocks, *_FINAL_NORMS))
    return {name: parameter for name, parameter in named.items() if name.startswith(inside)}


def _last(network: nn.Module, count: int | None) -> dict[str, nn.Module]:
    """The last ``count`` blocks by name; none where the network has no list of blocks."""
    modules = dict(network.named_modules())
    lists = [path for path in _BLOCK_LISTS if path in modules]
    blocks = {f"{path}.{name}": block for path in lists for name, block in modules[path].named_children()}
    if count is not None and count > len(blocks) > 0:
        raise ModelError(f"last_blocks is {count}, but {type(network).__name__} has {len(blocks)} blocks; ask for less")
    kept = len(blocks) if count is None else count
    return dict(list(blocks.items())[-kept:])


def _layout(network: nn.Module, blocks: dict[str, nn.Module]) -> _Layout:
    """The one layout whose linear layers every block has, no more and no fewer."""
    found = {
        frozenset(name for name, module in block.named_modules() if isinstance(module, nn.Linear))
        for block in blocks.values()
    }
    for layout in _layouts():
        if found == {frozenset(layout.attention + layout.mlp)}:
            return layout
    layers = " or ".join(sorted(", ".join(sorted(names)) or "none" for names in found)) or "no blocks at all"
    raise ModelError(
        f"{type(network).__name__} has no transformer blocks as DINOv3, DINOv2 and timm's ViT and EVA have them "
        f'(linear layers of its blocks: {layers}); take one of these, or kind "full" without last_blocks, or "frozen"'
    )
