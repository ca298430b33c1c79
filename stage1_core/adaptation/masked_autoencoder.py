"""Masked patches are left out of the encoder, and a small transformer draws their pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stage1_core.adaptation.config import MaskedAutoencoder
from stage1_core.adaptation.encoder import VisionTransformer
from stage1_core.adaptation.masking import Grid, block_mask, kept_patches
from stage1_core.adaptation.objective import MaskedObjective
from stage1_core.adaptation.reconstruction import masked_mean, patch_pixels

_HEAD = 32
"""Numbers of an attention head of the decoder."""
_INITIAL_SPREAD = 0.02


class MaskedAutoencoderObjective(MaskedObjective):
    """Squared error of the normalised pixels of masked patches (He et al., CVPR 2022, arXiv 2111.06377)."""

    def __init__(self, config: MaskedAutoencoder, student: VisionTransformer) -> None:
        super().__init__()
        width = config.decoder_hidden
        self._config = config
        self.narrow = nn.Linear(student.hidden, width)
        self.mask_token = nn.Parameter(_INITIAL_SPREAD * torch.randn(width))
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, width // _HEAD, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(config.decoder_blocks)
        )
        self.norm = nn.LayerNorm(width)
        self.draw = nn.Linear(width, 3 * student.patch_px**2)

    def loss(self, student: VisionTransformer, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """Mean over the masked patches' pixels."""
        grid = student.grid(pixels)
        masked = block_mask(
            len(pixels), grid, fraction=self._config.mask_fraction, block=1, generator=generator
        )  # single patches: each picture keeps equally many
        keep, masked = kept_patches(masked).to(pixels.device), masked.to(pixels.device)
        normalised = student.normalised(pixels)
        seen = self.narrow(student.tokens_of(normalised, keep))
        drawn = self.draw(self._decoded(seen, keep, student.prefix, grid))
        return drawing_loss(drawn, patch_pixels(normalised, student.patch_px), masked)

    def _decoded(self, seen: Tensor, keep: Tensor, prefix: int, grid: Grid) -> Tensor:
        """``(n, patches, width)`` from ``seen`` ``(n, prefix + kept, width)``."""
        patches = self.mask_token.to(seen.dtype).expand(len(seen), grid[0] * grid[1], -1)
        patches = patches.scatter(1, keep[..., None].expand(-1, -1, seen.shape[-1]), seen[:, prefix:])
        patches = patches + places(grid, seen.shape[-1]).to(seen)
        hidden = torch.cat([seen[:, :prefix], patches], dim=1)
        for block in self.blocks:
            hidden = block(hidden)
        decoded: Tensor = self.norm(hidden[:, prefix:])
        return decoded


def drawing_loss(drawn: Tensor, target: Tensor, masked: Tensor) -> Tensor:
    """Mean squared error over masked patches. ``drawn`` and ``target`` are ``(n, patches, numbers of a patch)``."""
    return masked_mean((drawn.float() - target).square().mean(dim=-1), masked)


def places(grid: Grid, width: int) -> Tensor:
    """``(rows · columns, width)`` float32: fixed sines and cosines of the row and the column, ``width`` / 4 of each."""
    frequency = 10000.0 ** -(torch.arange(width // 4) / (width // 4))
    row, column = torch.meshgrid(torch.arange(grid[0]), torch.arange(grid[1]), indexing="ij")
    angles = [axis.flatten()[:, None] * frequency for axis in (row, column)]
    return torch.cat([wave for angle in angles for wave in (angle.sin(), angle.cos())], dim=1)
