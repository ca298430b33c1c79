"""Phase 1: from pictures to a certified, registered bundle."""

from __future__ import annotations

from flows._flow import phase
from stage1_core.phases.baseline import BaselineConfig
from stage1_core.splits import Purpose
from tasks.data import fingerprint_sources, prepare_data
from tasks.evaluation import check_baseline, draw_figures, evaluate_policy, measure_reference, write_report
from tasks.features import extract_features
from tasks.phase import PhaseArtifacts, ReleasedPhase
from tasks.policy import fit_policy
from tasks.publishing import open_run, publish, register, require_accepted, require_lineage
from tasks.release import rehearse_release, release_bundle
from tasks.training import predict, train_head


@phase("baseline")
def baseline(config: BaselineConfig) -> ReleasedPhase:
    """Train a head on a frozen backbone, certify its exits, and release the bundle if everything is proven.

    Args:
        config: Everything that determines the release; see docs/your-own-data.md for a short one.
    """
    run = open_run("baseline", config)
    ledger = prepare_data(config.data, fingerprint_sources(config.data))
    features = extract_features(config.backbone, config.transform, ledger)
    head = train_head(config.head, config.training, ledger, features, run)
    order_on = predict(head, ledger, features, Purpose.SELECT_MODEL)
    certify_on = predict(head, ledger, features, config.policy.certifies_on)
    policy = fit_policy(config.policy, config.constraint, order_on, certify_on, ledger)
    evaluation = evaluate_policy(config.constraint, policy, head, ledger, features)
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
    figures = draw_figures(config, made)
    report = write_report(config, made, acceptance, figures)
    publish(run, made, acceptance, figures, report)
    require_accepted(acceptance)
    bundle = release_bundle(config, made, acceptance, figures)
    return register(run, config.release, made, bundle, acceptance)
