"""Checks that more than one phase must pass."""

from __future__ import annotations

from stage1_core.acceptance import AcceptanceCheck, Direction, FactCheck, ValueCheck
from stage1_core.metrics.suite import Evaluation, ModelQuality
from stage1_core.policy import AnyPolicy
from stage1_core.policy.certify import risk_check
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.predictions import Predictions


def certificate_checks(
    constraint: RiskConstraint, policy: AnyPolicy, certify_on: Predictions, final: Evaluation, *, min_coverage: float
) -> tuple[AcceptanceCheck, ...]:
    """The promise on the certifying rows, its coverage there, and that VAL_TEST does not contradict it.

    On VAL_TEST only a contradiction counts: too few test rows are no failure. ``min_coverage`` is a fraction.
    """
    rows = constraint.countable(certify_on)
    exited = policy.decide(rows.scores).exited
    tested = {"fnr_on_exited": final.exits.fnr_on_exited, "exit_error": final.exits.exit_error}[constraint.risk]
    return (
        risk_check(f"certified {constraint.risk}", policy, rows, constraint, no_exit_reason=policy.no_exit_reason),
        ValueCheck(
            name="coverage on the certifying rows",
            value=float(exited.mean()) if len(rows) else None,
            bound=min_coverage,
            direction=Direction.AT_LEAST,
            trials=len(rows),
        ),
        ValueCheck(
            name="val_test does not contradict the certificate (lower bound)",
            value=tested.lower_bound,
            bound=constraint.max_risk,
            direction=Direction.AT_MOST,
        ),
    )


def accuracy_check(name: str, selected: ModelQuality, floor: float | None) -> AcceptanceCheck:
    """Accuracy on the selection rows against ``floor``, a fraction; None where there is nothing to compare with."""
    if floor is None:
        return FactCheck(name=name, holds=None, evidence="nothing to compare with")
    return ValueCheck(
        name=name, value=selected.accuracy, bound=floor, direction=Direction.AT_LEAST, trials=selected.rows
    )
