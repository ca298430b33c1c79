"""Phase 1: from pictures to a certified, registered bundle."""

from __future__ import annotations

from flows._conclusion import conclude
from flows._flow import flow
from stage1_core.phases.baseline import BaselineConfig
from stage1_core.splits import Purpose
from tasks.acceptance import check_baseline
from tasks.data import find_earlier_split, fingerprint_sources, keep_split, prepare_data
from tasks.evaluation import evaluate_policy, measure_reference
from tasks.features import extract_features
from tasks.phase import PhaseArtifacts, ReleasedPhase
from tasks.policy import fit_policy
from tasks.publishing import open_run, require_lineage
from tasks.release import rehearse_release
from tasks.training import predict, train_head


@flow("baseline")
def baseline(config: BaselineConfig) -> ReleasedPhase:
    """Train a head on a frozen backbone, certify its exits, and release the bundle if everything is proven.

    Args:
        config: Everything that determines the release; see docs/your-own-data.md for a short one.
    """
    run = open_run("baseline", config)
    fingerprint = fingerprint_sources(config.data)
    earlier = find_earlier_split(config.data, fingerprint)
    ledger = prepare_data(config.data, fingerprint, earlier)
    keep_split(config.data, fingerprint, earlier, ledger)
    features = extract_features(config.backbone, config.transform, ledger)
    head = train_head(config.head, config.training, ledger, features, run)
    order_on = predict(head, ledger, features, Purpose.SELECT_MODEL)
    certify_on = predict(head, ledger, features, config.policy.certifies_on)
    policy = fit_policy(config.policy, config.constraint, order_on, certify_on, ledger)
    evaluation = evaluate_policy(config.constraint, config.bootstrap, policy, head, ledger, features)
    made = PhaseArtifacts(
        ledger=ledger,
        features=features,
        head=head,
        order_on=order_on,
        certify_on=certify_on,
        policy=policy,
        evaluation=evaluation,
    )
    require_lineage(made)
    reference = measure_reference(ledger, features)
    acceptance = check_baseline(config, made, reference, rehearse_release(config, made))
    return conclude(run, config, made, acceptance)
