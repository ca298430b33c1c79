"""Everything a person chooses about extended pretraining (ExPLoRA). Light to import: nothing here needs torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from stage1_core.config import FrozenModel
from stage1_core.data.sources import SourceConfig
from stage1_core.data.transforms import AugmentConfig, NoAugment
from stage1_core.training.schedule import ScheduleConfig, WarmupCosineConfig, WarmupFraction

LearningRate = Annotated[float, Field(gt=0, le=10)]
MaskFraction = Annotated[float, Field(ge=0.05, le=0.95)]
BlockSize = Annotated[int, Field(ge=1, le=16)]


class FeatureDistillation(FrozenModel):
    """The student sees a masked picture and names the features that the original backbone gives the whole one.

    The nearest to DINO's own objective that needs none of its heads: features stay features, and are not bent towards
    pixels. The teacher is the original backbone throughout, so the features cannot collapse.
    """

    kind: Literal["feature_distillation"] = "feature_distillation"
    mask_fraction: MaskFraction = 0.5
    """Share of the patches that the student does not see."""
    block_patches: BlockSize = 2
    """Side of the squares in which patches are masked, in patches."""
    class_token_weight: Annotated[float, Field(ge=0, le=100)] = 1.0
    """Factor on the class token's part of the loss; the masked patches' part has 1."""


class SimMim(FrozenModel):
    """Masked patches are replaced by the mask token; a linear layer draws their pixels (arXiv 2111.09886)."""

    kind: Literal["simmim"] = "simmim"
    mask_fraction: MaskFraction = 0.5
    """Share of the patches whose embedding is replaced."""
    block_patches: BlockSize = 2
    """Side of the squares in which patches are masked, in patches."""


class MaskedAutoencoder(FrozenModel):
    """Masked patches are left out of the encoder; a small transformer draws their pixels (arXiv 2111.06377).

    The fastest of the three, since the encoder sees only the patches that are left.
    """

    kind: Literal["masked_autoencoder"] = "masked_autoencoder"
    mask_fraction: MaskFraction = 0.75
    """Share of the patches that the encoder never sees."""
    decoder_blocks: Annotated[int, Field(ge=1, le=8)] = 2
    """Blocks of the decoder, which is dropped afterwards."""
    decoder_hidden: Annotated[int, Field(ge=32, le=1024, multiple_of=32)] = 128
    """Width of the decoder; a head has 32 of it."""


MaskedObjectiveConfig = Annotated[SimMim | FeatureDistillation | MaskedAutoencoder, Field(discriminator="kind")]
"""Every objective that needs no labels; `kind` tells them apart."""


class TrainablePartConfig(FrozenModel):
    """What may change: LoRA on queries and values, the last blocks, all layer norms, the mask token. Nothing else."""

    rank: Annotated[int, Field(ge=1, le=1024)] = 16
    """Rank of the change of each query and value projection outside the unfrozen blocks."""
    alpha: Annotated[float, Field(gt=0, le=4096)] = 16.0
    """The change is scaled by alpha / rank."""
    unfrozen_blocks: Annotated[int, Field(ge=1, le=2)] = 1
    """Blocks at the end that are trained whole."""


class PretrainingOptimizerConfig(FrozenModel):
    """AdamW with a learning rate for each part. Norms, biases and single vectors do not decay."""

    lr_lora: LearningRate = 1e-4
    """Peak learning rate of the low-rank changes."""
    lr_blocks: LearningRate = 5e-5
    """Peak learning rate of the unfrozen blocks, without their norms."""
    lr_norms: LearningRate = 1e-5
    """Peak learning rate of all layer norms."""
    lr_objective: LearningRate = 1e-3
    """Peak learning rate of what starts from nothing: the mask token, and a decoder where there is one."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Decoupled decay of matrices, multiplied with the learning rate at each step."""
    max_grad_norm: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    """The gradient's global norm is clipped to this."""


class ProbeConfig(FrozenModel):
    """The linear probe that judges an epoch: logistic regression on features of labelled pictures."""

    inverse_regularization: Annotated[float, Field(gt=0, le=1e6)] = 0.01
    """C of the logistic regression on standardised features."""
    max_fit_pictures: Annotated[int, Field(ge=2, le=10_000_000)] = 4096
    """FIT_WEIGHTS pictures that are used at most, the same in each epoch. All SELECT_MODEL pictures are used."""
    batch_size: Annotated[int, Field(ge=1, le=65536)] = 64
    """Pictures a forward pass."""


class UnlabeledConfig(FrozenModel):
    """Which pictures are looked at without their labels."""

    sources: tuple[SourceConfig, ...] = ()
    """Folders beside the ledger's data, such as extras and generated pictures; labels in them are not read."""
    training_pictures: bool = True
    """Whether the FIT_WEIGHTS pictures are used too."""
    near_duplicate_distance: Annotated[int, Field(ge=0, le=8)] | None = 3
    """A picture whose 64-bit perceptual hash is within this many bits of a held-out one is left out; None: equal files
    only."""


class ExploraConfig(FrozenModel):
    """Extended pretraining with low-rank changes (Khanna et al., ICML 2025, arXiv 2406.10973) on unlabeled pictures."""

    unlabeled: UnlabeledConfig = UnlabeledConfig()
    """The pictures."""
    objective: MaskedObjectiveConfig = FeatureDistillation()
    """What is minimised."""
    trainable: TrainablePartConfig = TrainablePartConfig()
    """What may change."""
    optimizer: PretrainingOptimizerConfig = PretrainingOptimizerConfig()
    """How it follows the gradient."""
    schedule: ScheduleConfig = WarmupCosineConfig(warmup=WarmupFraction(fraction=0.05))
    """The learning rates over time."""
    augment: AugmentConfig = NoAugment()
    """What is done to the pictures before they are masked."""
    batch_size: Annotated[int, Field(ge=1, le=65536)] = 64
    """Pictures of an optimizer step; an epoch's last step may have fewer."""
    epochs: Annotated[int, Field(ge=1, le=10000)] = 10
    """Passes over the unlabeled pictures, at most."""
    patience: Annotated[int, Field(ge=1, le=10000)] | None = 3
    """Pretraining stops after this many epochs in which the probe's AUGRC did not improve; null goes on to the end."""
    probe: ProbeConfig = ProbeConfig()
    """How an epoch is judged."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Of every random draw: initial weights, order of the pictures, masks, augmentation."""
