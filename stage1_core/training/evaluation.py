"""What an epoch is judged by: scores of the SELECT_MODEL rows and the numbers made of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from scipy.special import expit

from stage1_core.config import FrozenModel
from stage1_core.metrics.calibration_error import ece
from stage1_core.metrics.gate_quality import GateQuality, gate_quality
from stage1_core.metrics.proper_scores import brier, nll
from stage1_core.metrics.risk import RiskEstimate, coverage, exit_error, fnr_on_exited
from stage1_core.metrics.risk_coverage import augrc, coverage_at_risk, risk_at_coverage
from stage1_core.metrics.suite import COVERAGES, MAX_RISKS
from stage1_core.predictions import Decisions, Integer, Scores

Fraction = Annotated[float, Field(ge=0, le=1)]


class EpochMetrics(FrozenModel):
    """Numbers of one epoch on the SELECT_MODEL rows. The exits are those of a fixed threshold, for the log alone."""

    accuracy: Fraction
    ece: Fraction
    nll: float
    brier: Fraction
    augrc: Fraction
    exited: int
    rows: int
    exit_errors: int
    exited_positives: int
    """Roadwork pictures that exit."""
    missed: int
    """Roadwork pictures that exit as "no roadwork"."""
    risk_at_coverage: dict[str, Fraction | None]
    """Selective risk of the confidence by coverage."""
    coverage_at_risk: dict[str, Fraction | None]
    """Coverage of the confidence by selective risk."""
    gate: GateQuality | None = None
    """Absent where the head has no gate."""
    augrc_gate: Fraction | None = None
    """AUGRC of the same failures, ranked by the gate."""

    @property
    def exit_coverage(self) -> RiskEstimate:
        """Share of rows that exit."""
        return RiskEstimate(self.exited, self.rows)

    @property
    def exit_error(self) -> RiskEstimate:
        """Share of exited rows that is called wrong."""
        return RiskEstimate(self.exit_errors, self.exited)

    @property
    def fnr_on_exited(self) -> RiskEstimate:
        """Share of exited roadwork pictures that is called "no roadwork"."""
        return RiskEstimate(self.missed, self.exited_positives)


def epoch_metrics(scores: Scores, labels: Integer, exit_threshold: float) -> EpochMetrics:
    """Numbers of ``n > 0`` scores; a picture exits where p₁ >= ``exit_threshold`` or p₁ <= 1 - ``exit_threshold``."""
    confidence, predicted = scores.confidence, scores.likelier_class
    correct = predicted == labels
    gate = scores.gate_logits
    decisions = Decisions.of(confidence >= exit_threshold, predicted)
    found = {risk.name: risk(decisions, labels) for risk in (coverage, exit_error, fnr_on_exited)}
    return EpochMetrics(
        accuracy=float(correct.mean()),
        ece=_defined(ece(confidence, correct)),
        nll=_defined(nll(scores.logits, labels)),
        brier=_defined(brier(expit(scores.margin_logits), labels)),
        augrc=_defined(augrc(confidence, ~correct)),
        exited=found["coverage"].events,
        rows=len(scores),
        exit_errors=found["exit_error"].events,
        exited_positives=found["fnr_on_exited"].trials,
        missed=found["fnr_on_exited"].events,
        risk_at_coverage={f"{share:g}": risk_at_coverage(confidence, ~correct, share) for share in COVERAGES},
        coverage_at_risk={f"{ceiling:g}": coverage_at_risk(confidence, ~correct, ceiling) for ceiling in MAX_RISKS},
        gate=None if gate is None else gate_quality(scores, labels),
        augrc_gate=None if gate is None else augrc(gate, ~correct),
    )


def _defined(value: float | None) -> float:
    assert value is not None, "these numbers are undefined only without rows, which training refuses"
    return value
