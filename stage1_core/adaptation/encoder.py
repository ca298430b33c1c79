"""A vision transformer from the inside: its blocks and norms, masked pictures, and pictures with patches left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from stage1_core.adaptation.masking import Grid
from stage1_core.errors import ModelError
from stage1_core.model.backbone import Backbone


@dataclass(frozen=True, slots=True)
class _Names:
    """Where an architecture keeps its parts."""

    blocks: str
    norm: str


_ARCHITECTURES = {
    "dinov3_vit": _Names(blocks="model.layer", norm="norm"),
    "dinov2": _Names(blocks="encoder.layer", norm="layernorm"),
    "dinov2_with_registers": _Names(blocks="encoder.layer", norm="layernorm"),
}


@dataclass(frozen=True, slots=True, eq=False)
class VisionTransformer:
    """A view of the network inside a `Backbone`: it owns nothing, and follows what changes there."""

    network: nn.Module
    blocks: nn.ModuleList
    blocks_name: str
    """Name of `blocks` within the network."""
    norm: nn.Module
    """The last layer norm."""
    prefix: int
    """Tokens before the patches: class token and registers."""
    patch_px: int
    """Side of a patch in pixels."""
    hidden: int
    """Numbers of a token."""
    _mean: Tensor
    _std: Tensor

    @staticmethod
    def of(backbone: Backbone) -> VisionTransformer:
        """Raises `ModelError` for anything but a DINOv3 or DINOv2 ViT read through transformers."""
        network: Any = backbone.network
        settings = getattr(network, "config", None)
        names = _ARCHITECTURES.get(getattr(settings, "model_type", ""))
        if settings is None or names is None:
            found = getattr(settings, "model_type", type(network).__name__)
            raise ModelError(
                f"{backbone.config.model} is a {found}; extended pretraining knows {', '.join(_ARCHITECTURES)}, read "
                'with kind "transformers": use one of these, or no adaptation'
            )
        if network.embeddings.mask_token is None:
            raise ModelError(f"{backbone.config.model} has no mask token; save it with use_mask_token = true")
        return VisionTransformer(
            network=network,
            blocks=network.get_submodule(names.blocks),
            blocks_name=names.blocks,
            norm=network.get_submodule(names.norm),
            prefix=1 + (getattr(settings, "num_register_tokens", 0) or 0),
            patch_px=settings.patch_size,
            hidden=settings.hidden_size,
            _mean=backbone.mean,
            _std=backbone.std,
        )

    def normalised(self, pixels: Tensor) -> Tensor:
        """``(n, 3, h, w)`` in [0, 1] as the network takes them."""
        return (pixels - self._mean) / self._std

    def grid(self, pixels: Tensor) -> Grid:
        """Rows and columns of patches of ``(n, 3, h, w)``. Raises `ModelError` where they do not fill the picture."""
        height, width = pixels.shape[-2:]
        if height % self.patch_px or width % self.patch_px:
            raise ModelError(
                f"pictures of {height} x {width} pixels do not consist of whole patches of {self.patch_px}; choose a "
                "transform whose sides are multiples of that"
            )
        return height // self.patch_px, width // self.patch_px

    def tokens(self, normalised: Tensor, masked: Tensor | None = None) -> Tensor:
        """``(n, prefix + patches, hidden)`` after the last norm; the embeddings of ``masked`` patches are replaced.

        ``masked`` is ``(n, patches)`` bool. What these patches show does not reach the result.
        """
        found: Tensor = self.network(pixel_values=normalised, bool_masked_pos=masked).last_hidden_state
        return found

    def tokens_of(self, normalised: Tensor, keep: Tensor) -> Tensor:
        """``(n, prefix + kept, hidden)`` after the last norm, the other patches left out before the first block.

        ``keep`` is ``(n, kept)`` int64, positions of patches. Each keeps its own place in the picture. transformers has
        no such forward pass, so its parts are called one by one; a test holds this against the whole.
        """
        network: Any = self.network
        embedded = network.embeddings(normalised)
        index = keep[..., None].expand(-1, -1, embedded.shape[-1])
        hidden = torch.cat([embedded[:, : self.prefix], embedded[:, self.prefix :].gather(1, index)], dim=1)
        where = self._positions(normalised, keep)
        for block in self.blocks:
            hidden = block(hidden, **where)
        tokens: Tensor = self.norm(hidden)
        return tokens

    def _positions(self, normalised: Tensor, keep: Tensor) -> dict[str, Any]:
        """What blocks are told about places: DINOv3 turns queries and keys, DINOv2 has added it to the embeddings."""
        rotation: Callable[[Tensor], tuple[Tensor, Tensor]] | None = getattr(self.network, "rope_embeddings", None)
        if rotation is None:
            return {}
        cos, sin = rotation(normalised)
        return {"position_embeddings": (cos[keep].unsqueeze(1), sin[keep].unsqueeze(1))}
