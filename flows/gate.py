"""Phase 3: a learned gate, adopted only where it lets more exit under the same promise."""

from __future__ import annotations

from flows._adoption import adopt
from flows._conclusion import conclude
from flows._flow import flow
from flows.selective_evaluation import selective_evaluation
from stage1_core.phases.gate import GateConfig
from stage1_core.splits import Purpose
from tasks.acceptance import check_gate, check_gate_training
from tasks.comparison import Sides
from tasks.evaluation import evaluate_policy
from tasks.phase import PhaseArtifacts, ReleasedPhase
from tasks.policy import fit_gate_policy
from tasks.publishing import open_run, publish_training, require_accepted, require_lineage
from tasks.release import rehearse_release
from tasks.training import predict, train_head

SIDES = Sides(incumbent="softmax", challenger="gate")


@flow("gate")
def gate(config: GateConfig) -> ReleasedPhase:
    """Train and certify a gate, compare it with the release below it, and release it only if it is better.

    Args:
        config: Everything that determines the decision; `previous` is the release that the gate must beat.
    """
    previous = selective_evaluation(config.previous)
    run = open_run("gate", config)
    ledger, features = previous.made.ledger, previous.made.features
    head = train_head(config.head, config.training, ledger, features, run)
    order_on = predict(head, ledger, features, Purpose.SELECT_MODEL)
    trained = check_gate_training(head, order_on)
    publish_training(run, trained)
    require_accepted(trained)
    calibrate_on = predict(head, ledger, features, Purpose.FIT_CALIBRATOR)
    certify_on = predict(head, ledger, features, config.policy.certifies_on)
    fitted = fit_gate_policy(config.policy, config.constraint, order_on, calibrate_on, certify_on, ledger)
    adopted = adopt(run, config, SIDES, fitted, order_on, previous)
    made = PhaseArtifacts(
        ledger=ledger,
        features=features,
        head=head,
        order_on=order_on,
        certify_on=certify_on,
        policy=adopted.policy,
        evaluation=evaluate_policy(config.constraint, config.bootstrap, adopted.policy, head, ledger, features),
        calibrate_on=calibrate_on,
        comparison=adopted.comparison,
    )
    require_lineage(made)
    acceptance = check_gate(config, made, adopted.report, rehearse_release(config, made))
    return conclude(run, config, made, acceptance)
