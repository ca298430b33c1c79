"""Task that fits and certifies the exit policy."""

from __future__ import annotations

from pydantic import TypeAdapter

from stage1_core.bundle.artifact import ArtifactKind, ArtifactRef, require_untouched
from stage1_core.policy import AnyPolicy, AnyPolicyConfig
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.predictions import Predictions
from tasks._task import task
from tasks._workspace import access_log, store
from tasks.data import load_ledger


@task
def fit_policy(
    config: AnyPolicyConfig,
    constraint: RiskConstraint,
    order_on: ArtifactRef,
    certify_on: ArtifactRef,
    ledger: ArtifactRef,
) -> ArtifactRef:
    """Search and certify the exit rule. The look at the certifying rows is recorded, with the confidence it spends."""
    require_untouched([order_on], config.certifies_on)
    rows = load_predictions(certify_on)
    splits = load_ledger(ledger)
    access_log(splits.digest).record(
        "certified",
        rows.purpose,
        subject=f"{certify_on.sha256} {config.digest()} {constraint.digest()}",
        rows_digest=splits.rows_digest(rows.purpose),
        reason=f"certify a {config.kind} policy: {constraint.risk} <= {constraint.max_risk:g}",
        delta_spent=constraint.delta,
    )
    policy = config.fit(load_predictions(order_on), rows, constraint)
    return store().put_file(ArtifactKind.POLICY, "policy.json", policy, inputs=[order_on, certify_on])


def load_predictions(ref: ArtifactRef) -> Predictions:
    """The predictions behind a reference."""
    return Predictions.load(store().open_file(ref))


def load_policy(ref: ArtifactRef) -> AnyPolicy:
    """The policy behind a reference."""
    adapter: TypeAdapter[AnyPolicy] = TypeAdapter(AnyPolicy)
    return adapter.validate_json(store().open_file(ref).read_bytes())
