"""Tasks that fit and certify the exit policy."""

from __future__ import annotations

from pydantic import TypeAdapter

from stage1_core.bundle.artifact import ArtifactKind, ArtifactRef, require_untouched
from stage1_core.policy import AnyPolicy, AnyPolicyConfig, GatePolicyConfig, ScrcPolicyConfig, SoftmaxPolicyConfig
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.predictions import Predictions
from stage1_core.splits import Purpose
from tasks._task import task
from tasks._workspace import access_log, store
from tasks.data import load_ledger


@task
def fit_policy(
    config: SoftmaxPolicyConfig | ScrcPolicyConfig,
    constraint: RiskConstraint,
    order_on: ArtifactRef,
    certify_on: ArtifactRef,
    ledger: ArtifactRef,
) -> ArtifactRef:
    """Search and certify the exit rule."""
    require_untouched([order_on], config.certifies_on)
    record_look(config, constraint, certify_on, ledger)
    policy = config.fit(load_predictions(order_on), load_predictions(certify_on), constraint)
    return store().put_file(ArtifactKind.POLICY, "policy.json", policy, inputs=[order_on, certify_on])


@task
def fit_gate_policy(
    config: GatePolicyConfig,
    constraint: RiskConstraint,
    order_on: ArtifactRef,
    calibrate_on: ArtifactRef,
    certify_on: ArtifactRef,
    ledger: ArtifactRef,
) -> ArtifactRef:
    """Calibrate the gate on one half of VAL_CALIB, then search and certify its threshold on the other."""
    require_untouched([order_on, calibrate_on], config.certifies_on)
    require_untouched([order_on], Purpose.FIT_CALIBRATOR)
    record_look(config, constraint, certify_on, ledger)
    order, calibrate, certify = (load_predictions(ref) for ref in (order_on, calibrate_on, certify_on))
    policy = config.fit(order, certify, constraint, calibrate_on=calibrate)
    return store().put_file(ArtifactKind.POLICY, "policy.json", policy, inputs=[order_on, calibrate_on, certify_on])


def record_look(
    config: AnyPolicyConfig,
    constraint: RiskConstraint,
    certify_on: ArtifactRef,
    ledger: ArtifactRef,
) -> None:
    """Record the look at the certifying rows, with the confidence that it spends."""
    splits, purpose = load_ledger(ledger), config.certifies_on
    access_log(splits.origin).record(
        "certified",
        purpose,
        subject=f"{certify_on.sha256} {config.digest()} {constraint.digest()}",
        rows_digest=splits.rows_digest(purpose),
        reason=f"certify a {config.kind} policy: {constraint.risk} <= {constraint.max_risk:g}",
        delta_spent=constraint.delta,
    )


def load_predictions(ref: ArtifactRef) -> Predictions:
    """The predictions behind a reference."""
    return Predictions.load(store().open_file(ref))


def load_policy(ref: ArtifactRef) -> AnyPolicy:
    """The policy behind a reference."""
    adapter: TypeAdapter[AnyPolicy] = TypeAdapter(AnyPolicy)
    return adapter.validate_json(store().open_file(ref).read_bytes())
