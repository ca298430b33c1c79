"""Phase 2: the epoch that ranks its failures best, measured in every way there is."""

from __future__ import annotations

from flows._conclusion import conclude
from flows._flow import flow
from flows.baseline import baseline
from stage1_core.phases.selective_evaluation import SelectiveEvaluationConfig
from stage1_core.splits import Purpose
from tasks.acceptance import check_selective_evaluation
from tasks.evaluation import evaluate_policy, measure_transforms
from tasks.phase import PhaseArtifacts, ReleasedPhase
from tasks.policy import fit_policy
from tasks.publishing import open_run, require_lineage
from tasks.release import rehearse_release
from tasks.training import predict, train_head


@flow("selective_evaluation")
def selective_evaluation(config: SelectiveEvaluationConfig) -> ReleasedPhase:
    """Choose the epoch by AUGRC, certify it, evaluate it with intervals, and release it if it is no worse.

    Args:
        config: Everything that determines the release; `previous` is the baseline, which is found where it was run.
    """
    previous = baseline(config.previous)
    run = open_run("selective_evaluation", config)
    ledger, features = previous.made.ledger, previous.made.features
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
        transforms=measure_transforms(config, head, ledger),
    )
    require_lineage(made)
    acceptance = check_selective_evaluation(config, made, previous.made, rehearse_release(config, made))
    return conclude(run, config, made, acceptance)
