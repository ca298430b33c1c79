"""What a library's loader hands to `Backbone`: a network and how to read it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from stage1_core.model.backbone_config import Normalization

Reading = Callable[[nn.Module, Tensor], Tensor]
"""(network, normalised pixels ``(n, 3, h, w)``) to a tensor. A function of the module, so that copies work."""


@dataclass(frozen=True, slots=True, eq=False)
class LoadedNetwork:
    """A network with float32 weights on the CPU and what is known about it."""

    network: nn.Module
    features: Reading
    """Gives ``(n, hidden)``."""
    patch_tokens: Reading | None
    """Gives ``(n, tokens, hidden)``; None where the network has no tokens."""
    hidden: int
    input_size: tuple[int, int]
    """(height, width) in pixels that the model's own processor makes."""
    normalization: Normalization
