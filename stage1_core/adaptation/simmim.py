"""Masked patches become the mask token, and a linear layer draws their pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stage1_core.adaptation.config import SimMim
from stage1_core.adaptation.encoder import VisionTransformer
from stage1_core.adaptation.masking import block_mask
from stage1_core.adaptation.objective import MaskedObjective
from stage1_core.adaptation.reconstruction import masked_mean, patch_pixels


class SimMimObjective(MaskedObjective):
    """Absolute error of the normalised pixels of masked patches (Xie et al., CVPR 2022, arXiv 2111.09886)."""

    def __init__(self, config: SimMim, student: VisionTransformer) -> None:
        super().__init__()
        self._config = config
        self.decoder = nn.Linear(student.hidden, 3 * student.patch_px**2)

    def loss(self, student: VisionTransformer, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """Mean over the masked patches' pixels."""
        masked = block_mask(
            len(pixels),
            student.grid(pixels),
            fraction=self._config.mask_fraction,
            block=self._config.block_patches,
            generator=generator,
        ).to(pixels.device)
        normalised = student.normalised(pixels)
        drawn = self.decoder(student.tokens(normalised, masked)[:, student.prefix :])
        return drawing_loss(drawn, patch_pixels(normalised, student.patch_px), masked)


def drawing_loss(drawn: Tensor, target: Tensor, masked: Tensor) -> Tensor:
    """Mean absolute error over masked patches. ``drawn`` and ``target`` are ``(n, patches, numbers of a patch)``."""
    return masked_mean((drawn.float() - target).abs().mean(dim=-1), masked)
