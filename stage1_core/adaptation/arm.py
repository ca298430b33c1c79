"""One recipe of a comparison: what of the backbone is trained, and how."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from stage1_core.config import FrozenModel
from stage1_core.data.transforms import AugmentConfig, ModerateAugment
from stage1_core.model.adapters.config import (
    AdapterConfig,
    DoraAdapterConfig,
    DoranAdapterConfig,
    FrozenBackboneConfig,
    FullFineTuningConfig,
    LoraAdapterConfig,
)
from stage1_core.model.head import HeadConfig
from stage1_core.training.adamw import AdamWConfig
from stage1_core.training.config import TrainingConfig
from stage1_core.training.correctness_gate import CorrectnessGateConfig
from stage1_core.training.selection import SelectionConfig, SelectionMetric

Seed = Annotated[int, Field(ge=0, lt=2**32)]
Seeds = Annotated[tuple[Seed, ...], Field(min_length=1)]


def adaptation_training(*, lr_backbone: float = 1e-4) -> TrainingConfig:
    """A few passes over the pictures; the epoch that ranks its failures best is kept, accuracy's best beside it.

    ``lr_backbone`` is the peak rate of what is trained in the backbone: low-rank factors start from nothing and take
    some ten times that of the weights themselves.
    """
    return TrainingConfig(
        optimizer=AdamWConfig(lr_head=1e-3, lr_backbone=lr_backbone),
        selection=SelectionConfig(metric=SelectionMetric.AUGRC, keep_also=(SelectionMetric.ACCURACY,), patience=3),
        epochs=8,
    )


class ArmConfig(FrozenModel):
    """An adapter with its own training: a rate that suits one ruins another."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    """Under which it appears in tables."""
    adapter: AdapterConfig
    """What of the backbone is trained."""
    training: TrainingConfig = adaptation_training()
    """How it is trained together with the head; the seed is one of those of the comparison."""

    @model_validator(mode="after")
    def _learns_from_pictures(self) -> Self:
        if isinstance(self.training.objective, CorrectnessGateConfig):
            raise ValueError(
                "training.objective correctness_gate learns from held-out answers of heads on cached features; an arm "
                "is trained on pictures: use cross_entropy or selective"
            )
        return self


def default_arms() -> tuple[ArmConfig, ...]:
    """Frozen first, which is the reference; then everything, LoRA, DoRA and DoRAN."""
    low_rank = adaptation_training(lr_backbone=1e-3)
    return (
        ArmConfig(name="frozen", adapter=FrozenBackboneConfig()),
        ArmConfig(name="full", adapter=FullFineTuningConfig(), training=adaptation_training(lr_backbone=5e-5)),
        ArmConfig(name="lora", adapter=LoraAdapterConfig(), training=low_rank),
        ArmConfig(name="dora", adapter=DoraAdapterConfig(), training=low_rank),
        ArmConfig(name="doran", adapter=DoranAdapterConfig(), training=low_rank),
    )


class SharedRecipe(FrozenModel):
    """What all arms have in common, so that they differ by their own recipe alone."""

    head: HeadConfig = HeadConfig()
    """Shape of the head; its initial weights are those of the seed."""
    augment: AugmentConfig = ModerateAugment()
    """What training pictures go through."""
    seeds: Seeds = (0, 1, 2)
    """Each arm is trained once with each; the first one's model is what would be released."""
