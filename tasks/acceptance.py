"""Tasks that hold what was made against what a phase must prove."""

from __future__ import annotations

from stage1_core.acceptance import AcceptanceReport
from stage1_core.bundle.artifact import ArtifactKind, ArtifactRef
from stage1_core.bundle.rehearsal import Rehearsal
from stage1_core.metrics.gate_quality import gate_quality
from stage1_core.metrics.suite import ModelQuality, model_quality
from stage1_core.phases.baseline import BaselineConfig, baseline_report
from stage1_core.phases.gate import GateConfig, gate_report, training_report
from stage1_core.phases.selective_evaluation import SelectiveEvaluationConfig, kept_heads, selective_evaluation_report
from stage1_core.splits import Purpose
from stage1_core.training.epoch_log import read_numbers
from stage1_core.training.selection import SelectionMetric
from stage1_core.training.session import LOG_FILE
from tasks._task import task
from tasks._workspace import store
from tasks.evaluation import load_evaluation, load_final_predictions
from tasks.phase import PhaseArtifacts
from tasks.policy import load_policy, load_predictions
from tasks.training import kept_folder, predictions_for

ACCEPTANCE_FILE = "acceptance.json"


@task
def check_baseline(
    config: BaselineConfig, made: PhaseArtifacts, reference: float | None, rehearsal: ArtifactRef
) -> ArtifactRef:
    """The acceptance report of phase 1."""
    report = baseline_report(
        config.acceptance,
        config.constraint,
        policy=load_policy(made.policy),
        certify_on=load_predictions(made.certify_on),
        selected=quality(made.order_on),
        reference_accuracy=reference,
        final=load_evaluation(made.evaluation),
        rehearsal=store().read(rehearsal, Rehearsal).facts,
    )
    inputs = [made.policy, made.certify_on, made.order_on, made.evaluation, rehearsal]
    return store().put_file(ArtifactKind.ACCEPTANCE, ACCEPTANCE_FILE, report, inputs=inputs)


@task
def check_selective_evaluation(
    config: SelectiveEvaluationConfig, made: PhaseArtifacts, previous: PhaseArtifacts, rehearsal: ArtifactRef
) -> ArtifactRef:
    """The acceptance report of phase 2."""
    log, selected = read_numbers(store().open(made.head) / LOG_FILE), quality(made.order_on)
    report = selective_evaluation_report(
        config,
        policy=load_policy(made.policy),
        certify_on=load_predictions(made.certify_on),
        selected=selected,
        previous=quality(previous.order_on),
        kept=kept_heads(log, selected, kept_quality(made, SelectionMetric.ACCURACY)),
        final_rows=load_final_predictions(made.evaluation),
        final=load_evaluation(made.evaluation),
        rehearsal=store().read(rehearsal, Rehearsal).facts,
    )
    inputs = [made.policy, made.certify_on, made.order_on, made.evaluation, made.head, previous.order_on, rehearsal]
    return store().put_file(ArtifactKind.ACCEPTANCE, ACCEPTANCE_FILE, report, inputs=inputs)


@task
def check_gate_training(head: ArtifactRef, order_on: ArtifactRef) -> ArtifactRef:
    """Whether training converged and the gate says anything."""
    rows = load_predictions(order_on)
    report = training_report(gate_quality(rows.scores, rows.labels), read_numbers(store().open(head) / LOG_FILE))
    return store().put_file(ArtifactKind.ACCEPTANCE, ACCEPTANCE_FILE, report, inputs=[head, order_on])


@task
def check_gate(config: GateConfig, made: PhaseArtifacts, adoption: ArtifactRef, rehearsal: ArtifactRef) -> ArtifactRef:
    """The acceptance report of phase 3."""
    report = gate_report(
        config,
        policy=load_policy(made.policy),
        certify_on=load_predictions(made.certify_on),
        adoption=load_acceptance(adoption),
        final=load_evaluation(made.evaluation),
        rehearsal=store().read(rehearsal, Rehearsal).facts,
    )
    inputs = [made.policy, made.certify_on, made.evaluation, adoption, rehearsal]
    return store().put_file(ArtifactKind.ACCEPTANCE, ACCEPTANCE_FILE, report, inputs=inputs)


def load_acceptance(ref: ArtifactRef) -> AcceptanceReport:
    """The acceptance report behind a reference."""
    return store().read(ref, AcceptanceReport)


def quality(predictions: ArtifactRef) -> ModelQuality:
    """Numbers of stored predictions, before any policy."""
    return model_quality(load_predictions(predictions))


def kept_quality(made: PhaseArtifacts, metric: SelectionMetric) -> ModelQuality:
    """Numbers of the head that was kept by ``metric`` beside the released one, on the selection rows."""
    rows = predictions_for(made.head, made.ledger, made.features, Purpose.SELECT_MODEL, folder=kept_folder(metric))
    return model_quality(rows)
