"""How a head that was chosen among several recipes is held against the release that stands."""

from __future__ import annotations

from flows._adoption import adopt
from stage1_core.bundle.artifact import ArtifactRef
from stage1_core.phases.config import RecipeConfig
from stage1_core.splits import Purpose
from tasks.challenge import Challenge
from tasks.comparison import Sides
from tasks.evaluation import evaluate_policy
from tasks.phase import PhaseArtifacts, ReleasedPhase
from tasks.policy import fit_policy
from tasks.publishing import require_lineage
from tasks.runs import RunRef
from tasks.training import predict


def challenge(
    run: RunRef,
    config: RecipeConfig,
    name: str,
    standing: ReleasedPhase,
    features: ArtifactRef,
    head: ArtifactRef,
) -> Challenge:
    """Certify the head's exits, halt with `NotAdopted` unless they are better than what stands, and evaluate them."""
    ledger = standing.made.ledger
    order_on = predict(head, ledger, features, Purpose.SELECT_MODEL)
    certify_on = predict(head, ledger, features, config.policy.certifies_on)
    fitted = fit_policy(config.policy, config.constraint, order_on, certify_on, ledger)
    sides = Sides(incumbent=standing.phase, challenger=name)
    adopted = adopt(run, config, sides, fitted, order_on, standing)
    made = PhaseArtifacts(
        ledger=ledger,
        features=features,
        head=head,
        order_on=order_on,
        certify_on=certify_on,
        policy=adopted.policy,
        evaluation=evaluate_policy(config.constraint, config.bootstrap, adopted.policy, head, ledger, features),
        comparison=adopted.comparison,
    )
    require_lineage(made)
    return Challenge(made=made, adoption=adopted.report)
