"""How a head that was chosen among several recipes is held against the release that stands."""

from __future__ import annotations

from stage1_core.bundle.artifact import ArtifactRef
from stage1_core.phases.domain_adaptation import DomainAdaptationConfig
from stage1_core.phases.sharpness import SharpnessConfig
from stage1_core.splits import Purpose
from tasks.challenge import Challenge
from tasks.comparison import (
    Sides,
    compare_policies,
    judge_comparison,
    match_policy,
    publish_comparison,
    require_better,
    write_comparison,
)
from tasks.evaluation import evaluate_policy
from tasks.phase import PhaseArtifacts, ReleasedPhase
from tasks.policy import fit_policy
from tasks.publishing import require_lineage
from tasks.runs import RunRef
from tasks.training import predict


def challenge(
    run: RunRef,
    config: DomainAdaptationConfig | SharpnessConfig,
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
    policy = match_policy(fitted, order_on, standing.made)
    sides = Sides(incumbent=standing.phase, challenger=name)
    comparison = compare_policies(config, sides, policy, order_on, standing.made)
    adoption = judge_comparison(config.comparison, comparison)
    publish_comparison(run, comparison, adoption, write_comparison(config, comparison, adoption))
    require_better(run, adoption, standing)
    made = PhaseArtifacts(
        ledger=ledger,
        features=features,
        head=head,
        order_on=order_on,
        certify_on=certify_on,
        policy=policy,
        evaluation=evaluate_policy(config.constraint, config.bootstrap, policy, head, ledger, features),
        comparison=comparison,
    )
    require_lineage(made)
    return Challenge(made=made, adoption=adoption)
