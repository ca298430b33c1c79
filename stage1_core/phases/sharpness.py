"""Phase 5: whether F-SAM, which looks for flat minima, gives a better head than AdamW for twice the time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Self

from pydantic import Field, model_validator

from stage1_core.acceptance import AcceptanceReport, FactCheck
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
    def trainings(self) -> Mapping[str, TrainingConfig]:
        """What is compared, the reference first."""
        return {ADAMW: self.training, FSAM: self.training.model_copy(update={"optimizer": self.sharpness})}


def stability_report(logs: Mapping[str, Sequence[Sequence[Mapping[str, float | None]]]]) -> AcceptanceReport:
    """Whether every training went downhill. ``logs`` are the rows of metrics.csv by optimizer and seed."""
    checks = []
    for name, of_seeds in logs.items():
        falls = [_fall([row["NLL"] for row in rows]) for rows in of_seeds]
        known = [fall for fall in falls if fall is not None]
        checks.append(
            FactCheck(
                name=f"{name}: with every seed the NLL on the selection rows fell after the first epoch",
                holds=all(fall > 0 for fall in known) if known and len(known) == len(falls) else None,
                evidence=f"by {', '.join(f'{fall:.4g}' for fall in known)}" if known else "no second epoch",
            )
        )
    return AcceptanceReport.of("stability", tuple(checks))


def _fall(losses: Sequence[float | None]) -> float | None:
    """From the first to the lowest later one, minus infinity where one is not finite; None of fewer than two."""
    if len(losses) < 2:
        return None
    finite = [loss for loss in losses if loss is not None and math.isfinite(loss)]
    return finite[0] - min(finite[1:]) if len(finite) == len(losses) else -math.inf
