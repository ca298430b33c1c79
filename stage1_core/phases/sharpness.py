"""Phase 5: whether F-SAM, which looks for flat minima, gives a better head than AdamW for twice the time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, model_validator

from stage1_core.adaptation.arm import Seeds
from stage1_core.bundle.manifest import ReleaseConfig
from stage1_core.config import FrozenModel
from stage1_core.model.head import HeadConfig
from stage1_core.phases.domain_adaptation import DomainAdaptationConfig, carrying
from stage1_core.phases.later import LaterPhase
from stage1_core.policy import SoftmaxPolicyConfig
from stage1_core.policy.arm_choice import ArmChoiceConfig
from stage1_core.policy.comparison import ComparisonConfig
from stage1_core.training.adamw import AdamWConfig
from stage1_core.training.config import TrainingConfig, selective_training
from stage1_core.training.sharpness import FriendlySamConfig

Fraction = Annotated[float, Field(ge=0, le=1)]

ADAMW, FSAM = "adamw", "f-sam"


class SharpnessAcceptance(FrozenModel):
    """What an adopted head must prove, beside the risk itself."""

    min_coverage: Fraction = 0.0
    """Smallest share of the certifying rows that must exit."""


class SharpnessConfig(LaterPhase, FrozenModel):
    """Everything that determines whether a head trained with F-SAM is adopted; it stands on the phases below."""

    previous: DomainAdaptationConfig
    """The phase below: the features of what it released, or left standing, are trained on."""
    head: HeadConfig = HeadConfig()
    """Shape of the head."""
    training: TrainingConfig = selective_training()
    """How it is trained with AdamW; the seed is one of those below."""
    sharpness: FriendlySamConfig = FriendlySamConfig(base=AdamWConfig(lr_head=1e-3))
    """What takes the optimizer's place. Its `base` is that optimizer, or learning rates would be compared."""
    seeds: Seeds = (0, 1, 2, 3, 4)
    """Both optimizers train once with each; the first one's head is what would be released."""
    choice: ArmChoiceConfig = ArmChoiceConfig()
    """When F-SAM takes the place of AdamW."""
    policy: SoftmaxPolicyConfig = SoftmaxPolicyConfig()
    """How the exit rule is searched."""
    comparison: ComparisonConfig = ComparisonConfig()
    """When the head counts as better than the release that stands."""
    acceptance: SharpnessAcceptance = SharpnessAcceptance()
    """What must be proven before the release."""
    release: ReleaseConfig = ReleaseConfig()
    """Name, version and contents of the bundle."""

    @model_validator(mode="after")
    def _differs_by_the_optimizer_alone(self) -> Self:
        if self.training.optimizer.kind != "adamw":
            raise ValueError(f"training.optimizer is {self.training.optimizer.kind}; it is what F-SAM is compared with")
        if self.sharpness.base != self.training.optimizer:
            raise ValueError(
                f"sharpness.base has the settings {self.sharpness.base.to_json()} and training.optimizer "
                f"{self.training.optimizer.to_json()}; give both the same, or these settings are compared too"
            )
        return self

    @model_validator(mode="after")
    def _carries_what_it_stands_on(self) -> Self:
        return carrying(self, self.release)

    @property
    def reference(self) -> str:
        """What stays unless the other is shown to be better."""
        return ADAMW

    @property
    def trainings(self) -> Mapping[str, TrainingConfig]:
        """What is compared."""
        return {ADAMW: self.training, FSAM: self.training.model_copy(update={"optimizer": self.sharpness})}
