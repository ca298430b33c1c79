"""What every objective without labels has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from stage1_core.adaptation.encoder import VisionTransformer


class MaskedObjective(nn.Module, ABC):
    """Its parameters, a decoder for instance, serve pretraining alone and are dropped afterwards."""

    @abstractmethod
    def loss(self, student: VisionTransformer, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """Mean loss of ``pixels`` ``(n, 3, h, w)`` in [0, 1], masked by draws from ``generator``, on the CPU.

        Raises `ModelError` where the pictures do not consist of whole patches, or of too few.
        """
