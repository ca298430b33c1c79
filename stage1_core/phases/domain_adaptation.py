"""Phase 4: whether training on the backbone itself, in any of several ways, is worth what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self, TypeVar

from pydantic import Field, model_validator

from stage1_core.acceptance import AcceptanceCheck, AcceptanceReport, Direction, FactCheck, ValueCheck
from stage1_core.adaptation.arm import ArmConfig, SharedRecipe, default_arms
from stage1_core.adaptation.config import ExploraConfig
from stage1_core.adaptation.outcomes import AdapterFacts, PretrainingReport
from stage1_core.bundle.manifest import ReleaseConfig
from stage1_core.config import FrozenModel
from stage1_core.phases.gate import GateConfig
from stage1_core.phases.later import LaterPhase
from stage1_core.policy import SoftmaxPolicyConfig
from stage1_core.policy.arm_choice import ArmChoiceConfig
from stage1_core.policy.comparison import ComparisonConfig

Fraction = Annotated[float, Field(ge=0, le=1)]

Config = TypeVar("Config", bound=FrozenModel)

PRETRAINED = "explora-"
"""Begins the names of arms that start from the pretrained backbone."""


class DomainAdaptationAcceptance(FrozenModel):
    """What an adopted adaptation must prove, beside the risk itself."""

    min_coverage: Fraction = 0.0
    """Smallest share of the certifying rows that must exit."""
    max_merge_difference: Annotated[float, Field(gt=0, le=0.1)] = 1e-4
    """How far a feature may move when an adapter is merged, or saved and loaded, over the largest feature."""
    max_score_difference: Annotated[float, Field(gt=0, le=0.1)] = 0.01
    """How far a class logit of what is released, on a CPU, may be from that of the model that was trained, where it
    was, over the largest logit. A GPU's convolutions round to 11 bits (TF32), which moves logits by some thousandths.
    """


class DomainAdaptationConfig(LaterPhase, FrozenModel):
    """Everything that determines whether an adapted backbone is adopted; it stands on the phases below."""

    previous: GateConfig
    """The phase below: what it released, or left standing, is what an adapted backbone must beat."""
    pretraining: ExploraConfig = ExploraConfig()
    """ExPLoRA. Every arm is trained with and without it."""
    arms: Annotated[tuple[ArmConfig, ...], Field(min_length=2)] = default_arms()
    """What is compared. The first leaves the backbone frozen and is the reference."""
    shared: SharedRecipe = SharedRecipe()
    """What the arms have in common."""
    choice: ArmChoiceConfig = ArmChoiceConfig()
    """When an arm takes the place of the reference."""
    policy: SoftmaxPolicyConfig = SoftmaxPolicyConfig()
    """How the chosen arm's exit rule is searched."""
    comparison: ComparisonConfig = ComparisonConfig()
    """When the chosen arm counts as better than the release that stands."""
    acceptance: DomainAdaptationAcceptance = DomainAdaptationAcceptance()
    """What must be proven before the release."""
    release: ReleaseConfig = ReleaseConfig()
    """Name, version and contents of the bundle."""

    @model_validator(mode="after")
    def _can_be_compared(self) -> Self:
        names = [arm.name for arm in self.arms]
        if len(set(names)) < len(names) or any(name.startswith(PRETRAINED) for name in names):
            raise ValueError(f"arms are called {', '.join(names)}; give each its own name, none beginning {PRETRAINED}")
        if self.arms[0].adapter.kind != "frozen":
            raise ValueError(f"the first arm, {names[0]}, is the reference: give it the adapter frozen")
        return self

    @model_validator(mode="after")
    def _carries_what_it_made(self) -> Self:
        return carrying(self, self.release)

    @property
    def reference(self) -> str:
        """The arm that stays unless another is shown to be better."""
        return self.arms[0].name


def carrying(config: Config, release: ReleaseConfig) -> Config:
    """``config``; raises `ValueError` where a bundle would name a backbone that no other machine can have."""
    if release.backbone != "embed":
        raise ValueError(f"release.backbone is {release.backbone}; an adapted backbone must be embedded in the bundle")
    return config


def adaptation_report(
    config: DomainAdaptationAcceptance, pretraining: PretrainingReport, arms: Mapping[str, AdapterFacts]
) -> AcceptanceReport:
    """Whether everything that was trained is what it should be; asked before any certifying row is read."""
    checks: list[AcceptanceCheck] = [
        FactCheck(
            name="ExPLoRA changed only what it may",
            holds=not pretraining.changed_wrongly,
            evidence=", ".join(pretraining.changed_wrongly[:3]) or f"{len(pretraining.changed)} tensors differ",
        )
    ]
    for name, facts in arms.items():
        differences = {
            "features move when it is merged": (facts.merged_difference, config.max_merge_difference),
            "features move when it is saved and loaded": (facts.reloaded_difference, config.max_merge_difference),
            "scores differ from those of the trained model": (facts.score_difference, config.max_score_difference),
        }
        checks += [
            ValueCheck(
                name=f"{name}: {what}",
                value=difference,
                bound=most,
                direction=Direction.AT_MOST,
                trials=facts.pictures,
            )
            for what, (difference, most) in differences.items()
        ]
    return AcceptanceReport.of("adaptation", tuple(checks))
