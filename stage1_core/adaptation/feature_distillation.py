"""The student sees a masked picture and names the features that the original backbone gives the whole one."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from stage1_core.adaptation.config import FeatureDistillation
from stage1_core.adaptation.encoder import VisionTransformer
from stage1_core.adaptation.masking import block_mask
from stage1_core.adaptation.objective import MaskedObjective
from stage1_core.adaptation.reconstruction import masked_mean


class FeatureDistillationObjective(MaskedObjective):
    """1 - cosine between student and teacher, at the masked patches and at the class token. It has no parameters."""

    def __init__(self, config: FeatureDistillation, teacher: VisionTransformer) -> None:
        super().__init__()
        self._config = config
        self._teacher = teacher

    def loss(self, student: VisionTransformer, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """Mean over the masked patches, plus the class token's part times its weight."""
        masked = block_mask(
            len(pixels),
            student.grid(pixels),
            fraction=self._config.mask_fraction,
            block=self._config.block_patches,
            generator=generator,
        ).to(pixels.device)
        normalised = student.normalised(pixels)
        with torch.no_grad():
            target = self._teacher.tokens(normalised)
        found = student.tokens(normalised, masked)
        return feature_loss(found, target, masked, class_token_weight=self._config.class_token_weight)


def feature_loss(found: Tensor, target: Tensor, masked: Tensor, *, class_token_weight: float) -> Tensor:
    """Of ``found`` and ``target`` ``(n, prefix + patches, hidden)``, class token first; ``masked`` ``(n, patches)``."""
    distance = 1 - functional.cosine_similarity(found.float(), target.float(), dim=-1)
    prefix = distance.shape[1] - masked.shape[1]
    return masked_mean(distance[:, prefix:], masked) + class_token_weight * distance[:, 0].mean()
