"""Phase 6: selective conformal risk control, adopted where it lets no less exit than what stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, Tag, model_validator

from stage1_core.acceptance import AcceptanceReport
from stage1_core.adaptation.arm import Seeds
from stage1_core.bundle.manifest import ReleaseConfig
from stage1_core.config import FrozenModel
from stage1_core.errors import PolicyError
from stage1_core.model.head import HeadConfig
from stage1_core.phases.domain_adaptation import DomainAdaptationConfig, carrying
from stage1_core.phases.gate import GateConfig
from stage1_core.phases.later import LaterPhase
from stage1_core.phases.scrc_checks import batch_check, calibration_checks, own_promise_check, sets_check
from stage1_core.phases.sharpness import SharpnessConfig
from stage1_core.phases.told_apart import TOLD_APART
from stage1_core.policy import ScrcPolicy, ScrcPolicyConfig
from stage1_core.policy.arm_choice import ArmChoiceConfig
from stage1_core.policy.comparison import ComparisonConfig
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.predictions import Predictions
from stage1_core.training.config import TrainingConfig, conformal_risk_training
from stage1_core.training.objective import ConformalRiskConfig, CorrectnessGateConfig

Fraction = Annotated[float, Field(ge=0, le=1)]

PLAIN, CONFORMAL_RISK = "plain", "conformal-risk"


class ConformalAcceptance(FrozenModel):
    """What an adopted policy must prove, beside the risk itself."""

    min_coverage: Fraction = 0.0
    """Smallest share of the certifying rows that must exit."""
    max_nll_increase: Annotated[float, Field(ge=0, le=1)] = 0.01
    """By how much calibration may raise the mean cross-entropy of the classes on the certifying rows, in nats."""
    max_ece: Fraction = 0.05
    """Largest calibration error of the calibrated classes on the certifying rows, in 10 bins."""


class ConformalConfig(LaterPhase, FrozenModel):
    """Everything that determines whether an SCRC policy is adopted; it stands on any of the phases below."""

    previous: Annotated[
        Annotated[GateConfig, Tag("gate")]
        | Annotated[DomainAdaptationConfig, Tag("domain_adaptation")]
        | Annotated[SharpnessConfig, Tag("sharpness")],
        TOLD_APART,
    ]
    """The phase below: the features of what it released, or left standing, are trained on. A gate needs no GPU."""
    head: HeadConfig = HeadConfig(gated=True, gate_reads="hidden_and_margin")
    """Shape of the head. Its gate, where it has one, selects beside the confidence."""
    training: TrainingConfig = conformal_risk_training().model_copy(update={"objective": CorrectnessGateConfig()})
    """How it is trained without conformal risk, in batches that are large enough for it; the seed is one of those
    below."""
    risk: ConformalRiskConfig = ConformalRiskConfig(base=CorrectnessGateConfig())
    """What takes the objective's place. Its `base` is that objective, or more than the risk would be compared."""
    seeds: Seeds = (0, 1, 2, 3, 4)
    """Both objectives train once with each; the first one's head is what would be released."""
    choice: ArmChoiceConfig = ArmChoiceConfig()
    """When conformal risk training takes the place of the plain one. The policy is fitted on the chosen one's head."""
    policy: ScrcPolicyConfig = ScrcPolicyConfig()
    """How classes are calibrated and the pair of thresholds is searched."""
    comparison: ComparisonConfig = ComparisonConfig(min_coverage_gain=0.0)
    """When the policy takes the place of the release that stands: its coverage must not be below. A comparison of your
    own that does not name `min_coverage_gain` asks for the gain that other phases ask for."""
    acceptance: ConformalAcceptance = ConformalAcceptance()
    """What must be proven before the release."""
    release: ReleaseConfig = ReleaseConfig()
    """Name, version and contents of the bundle."""

    @model_validator(mode="after")
    def _differs_by_the_risk_alone(self) -> Self:
        if self.training.objective != self.risk.base:
            raise ValueError(
                f"risk.base has the settings {self.risk.base.to_json()} and training.objective "
                f"{self.training.objective.to_json()}; give both the same, or these settings are compared too"
            )
        return self

    @model_validator(mode="after")
    def _has_what_the_policy_reads(self) -> Self:
        if self.policy.grid.signal == "gate" and not self.head.gated:
            raise ValueError("policy.grid.signal is gate and head.gated is false; give the head a gate, or take energy")
        try:
            self.policy.grid.require_guard(self.constraint)
        except PolicyError as problem:
            raise ValueError(str(problem)) from problem
        return self

    @model_validator(mode="after")
    def _carries_what_it_stands_on(self) -> Self:
        return self if isinstance(self.previous, GateConfig) else carrying(self, self.release)

    @property
    def reference(self) -> str:
        """What stays unless the other is shown to be better."""
        return PLAIN

    @property
    def trainings(self) -> Mapping[str, TrainingConfig]:
        """What is compared."""
        return {PLAIN: self.training, CONFORMAL_RISK: self.training.model_copy(update={"objective": self.risk})}


def conformal_report(
    config: ConformalAcceptance,
    constraint: RiskConstraint,
    *,
    policy: ScrcPolicy,
    certify_on: Predictions,
    final_rows: Predictions,
) -> AcceptanceReport:
    """Whether classes are calibrated, sets are what they should be, and the method's own promises are computed.

    What the method itself promises stands in the evidence and decides nothing. Beside this report stands what every
    challenger must prove; `challenger_report` has it.
    """
    rows, batch = constraint.countable(certify_on), constraint.countable(final_rows)
    checks = (
        *calibration_checks(policy.calibration, max_nll_increase=config.max_nll_increase, max_ece=config.max_ece),
        sets_check(policy, certify_on.scores),
        own_promise_check(policy, rows),
        batch_check(policy, rows, batch),
    )
    return AcceptanceReport.of("selective conformal risk control", checks)
