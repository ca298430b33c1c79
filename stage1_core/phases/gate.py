"""Phase 3: a learned gate decides what exits, if that lets more exit under the same promise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Self

from pydantic import Field, model_validator

from stage1_core.acceptance import AcceptanceCheck, AcceptanceReport, Direction, FactCheck, ValueCheck
from stage1_core.bundle.manifest import ReleaseConfig
from stage1_core.config import FrozenModel
from stage1_core.metrics.gate_quality import GateQuality
from stage1_core.metrics.risk import exit_error
from stage1_core.metrics.suite import Evaluation
from stage1_core.model.head import HeadConfig
from stage1_core.phases.checks import certificate_checks
from stage1_core.phases.later import LaterPhase
from stage1_core.phases.selective_evaluation import SelectiveEvaluationConfig
from stage1_core.policy import AnyPolicy, GatePolicy, GatePolicyConfig
from stage1_core.policy.comparison import ComparisonConfig
from stage1_core.predictions import Predictions
from stage1_core.training.config import TrainingConfig, gate_training

Fraction = Annotated[float, Field(ge=0, le=1)]


class GateAcceptance(FrozenModel):
    """What an adopted gate must prove, beside the risk itself. Checks, not fitting constraints."""

    min_coverage: Fraction = 0.70
    """Smallest share of the certifying rows that must exit."""
    max_exit_error: Fraction = 0.01
    """Largest share of the exiting certifying rows that may be called wrong."""
    max_gate_ece: Fraction = 0.05
    """Largest calibration error of the gate on the certifying rows, in 10 bins."""


class GateConfig(LaterPhase, FrozenModel):
    """Everything that determines whether a gate is adopted; it stands on a selective evaluation."""

    previous: SelectiveEvaluationConfig
    """The release that the gate must beat: its data, features and promise are used again."""
    head: HeadConfig = HeadConfig(gated=True, gate_reads="hidden_and_margin")
    """Shape of the gated head."""
    training: TrainingConfig = gate_training()
    """How classes, gate and auxiliary output are trained together."""
    policy: GatePolicyConfig = GatePolicyConfig()
    """How the gate is calibrated and its threshold searched."""
    comparison: ComparisonConfig = ComparisonConfig()
    """When the gate counts as better."""
    acceptance: GateAcceptance = GateAcceptance()
    """What must be proven before the release."""
    release: ReleaseConfig = ReleaseConfig()
    """Name, version and contents of the bundle."""

    @model_validator(mode="after")
    def _has_a_gate(self) -> Self:
        if not self.head.gated:
            raise ValueError("head.gated is false; this phase trains a gate, so leave it true")
        return self


def training_report(quality: GateQuality, log: Sequence[Mapping[str, float | None]]) -> AcceptanceReport:
    """Whether training converged and the gate says anything; asked before any certifying row is read.

    ``quality`` is measured on VAL_SELECT, ``log`` are the rows of metrics.csv.
    """
    losses = [value for row in log if (value := row["NLL"]) is not None]
    evidence = (
        f"mean {_shown(quality.mean_probability)}, standard deviation {_shown(quality.std_probability)}, AUROC "
        f"{_shown(quality.auroc)} ({quality.failures} of {quality.rows} rows called wrong)"
    )
    checks = (
        FactCheck(
            name="the NLL on the selection rows fell",
            holds=losses[-1] < losses[0] if len(losses) > 1 else None,
            evidence=" to ".join(f"{loss:.4g}" for loss in (losses[0], losses[-1])) if losses else "no epoch",
        ),
        FactCheck(
            name="the gate did not collapse",
            holds=quality.collapse is None if quality.rows else None,
            evidence=evidence if quality.collapse is None else f"{quality.collapse}: {evidence}",
        ),
    )
    return AcceptanceReport.of("gate training", checks)


def gate_report(
    config: GateConfig,
    *,
    policy: AnyPolicy,
    certify_on: Predictions,
    adoption: AcceptanceReport,
    final: Evaluation,
    rehearsal: tuple[FactCheck, ...],
) -> AcceptanceReport:
    """The acceptance report of phase 3, for a gate that was found better."""
    rows = config.constraint.countable(certify_on)
    error = exit_error(policy.decide(rows.scores), rows.labels)
    measured = policy.metrics if isinstance(policy, GatePolicy) else None
    checks: tuple[AcceptanceCheck, ...] = (
        *certificate_checks(config.constraint, policy, certify_on, final, min_coverage=config.acceptance.min_coverage),
        ValueCheck(
            name="exit error on the certifying rows",
            value=error.rate,
            bound=config.acceptance.max_exit_error,
            direction=Direction.AT_MOST,
            trials=error.trials,
        ),
        ValueCheck(
            name="calibration error of the gate on the certifying rows",
            value=None if measured is None else measured.ece,
            bound=config.acceptance.max_gate_ece,
            direction=Direction.AT_MOST,
            trials=None if measured is None else measured.rows,
        ),
        *adoption.checks,
        *rehearsal,
    )
    return AcceptanceReport.of("gate", checks)


def _shown(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
