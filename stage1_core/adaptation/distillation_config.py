"""What a person chooses about a small student of a larger backbone. Light to import: nothing here needs torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from stage1_core.config import FrozenModel
from stage1_core.model.backbone_config import Normalization
from stage1_core.training.schedule import WarmupCosineConfig, WarmupFraction

IMAGENET = Normalization(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""What DINOv3's own processors use."""


class StudentConfig(FrozenModel):
    """A vision transformer of DINOv3's architecture: rotary positions, register tokens, layer scale."""

    hidden: Annotated[int, Field(ge=16, le=1024, multiple_of=16)] = 192
    """Width, and length of its features."""
    layers: Annotated[int, Field(ge=1, le=24)] = 6
    """Transformer blocks."""
    heads: Annotated[int, Field(ge=1, le=16)] = 3
    """Attention heads of hidden / heads channels each, a multiple of 4."""
    registers: Annotated[int, Field(ge=0, le=16)] = 4
    """Register tokens behind the class token."""
    patch_px: Annotated[int, Field(ge=4, le=32)] = 16
    """Side of a patch in pixels."""
    input_px: Annotated[int, Field(ge=16, le=512)] = 128
    """Side of the square in pixels that its processor makes of a whole picture; a multiple of `patch_px`."""

    @property
    def patches_a_side(self) -> int:
        """Patches in a row, and rows of them."""
        return self.input_px // self.patch_px


class DistillationConfig(FrozenModel):
    """How the student learns from the teacher, in one pass over the drives after another."""

    epochs: Annotated[int, Field(ge=1, le=1000)] = 10
    """Passes over all pictures, each mirrored with probability 1/2 and with its colours and light changed."""
    batch_size: Annotated[int, Field(ge=1, le=1024)] = 32
    """Pictures a step."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 2e-3
    """Peak, of Muon for the matrices of the blocks and of AdamW for everything else."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Decoupled decay of the blocks' matrices, multiplied with the learning rate at each step; a fifth of it for the
    rest."""
    max_grad_norm: Annotated[float, Field(gt=0, le=1000)] = 1.0
    """Ceiling of the gradient's global norm."""
    schedule: WarmupCosineConfig = WarmupCosineConfig(warmup=WarmupFraction(fraction=0.05))
    """The learning rate as a function of steps."""
    map_components: Annotated[int, Field(ge=1, le=1280)] = 256
    """Principal components of the teacher's map that the patches learn."""
    basis_pictures: Annotated[int, Field(ge=2, le=10_000)] = 1000
    """Pictures that the components are found on."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Of the first weights, the order of pictures and what is changed about them."""
