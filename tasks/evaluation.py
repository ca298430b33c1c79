"""Tasks that measure."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stage1_core.bundle.artifact import ArtifactKind, ArtifactRef
from stage1_core.metrics.bootstrap import BootstrapConfig
from stage1_core.metrics.suite import Evaluation
from stage1_core.model.head_files import load_head
from stage1_core.phases.selective_evaluation import SelectiveEvaluationConfig
from stage1_core.phases.transforms import transform_table
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.policy.evaluation import Measured, evaluate
from stage1_core.predictions import Predictions
from stage1_core.splits import Purpose
from stage1_core.training.reference import reference_accuracy
from tasks._device import device_slot
from tasks._progress import progress
from tasks._task import task
from tasks._workspace import access_log, feature_folder, store
from tasks.data import load_ledger
from tasks.features import feature_rows
from tasks.policy import load_policy
from tasks.training import predictions_for, weights_digest

EVALUATION_FILE = "evaluation.json"
PREDICTIONS_FILE = "predictions.npz"
RESAMPLES_FILE = "resamples.npz"
TRANSFORMS_FILE = "transforms.json"


@task
def evaluate_policy(
    constraint: RiskConstraint,
    bootstrap: BootstrapConfig,
    policy: ArtifactRef,
    head: ArtifactRef,
    ledger: ArtifactRef,
    features: ArtifactRef,
) -> ArtifactRef:
    """Open VAL_TEST, which the access log records, and measure what model and policy do there."""
    splits = load_ledger(ledger)
    access_log(splits.origin).record(
        "opened",
        Purpose.FINAL_EVALUATION,
        subject=f"{weights_digest(head)} {policy.sha256}",
        rows_digest=splits.rows_digest(Purpose.FINAL_EVALUATION),
        reason="final evaluation of a release candidate",
    )
    rows = predictions_for(head, ledger, features, Purpose.FINAL_EVALUATION)
    measured = evaluate(load_policy(policy), rows, constraint.confidence, bootstrap)
    inputs = [policy, head, ledger, features]
    return store().put(
        ArtifactKind.EVALUATION,
        lambda folder: write_measured(measured, rows, folder),
        inputs=inputs,
        purposes=[Purpose.FINAL_EVALUATION],
    )


@task
def measure_transforms(config: SelectiveEvaluationConfig, head: ArtifactRef, ledger: ArtifactRef) -> ArtifactRef:
    """The same head on the selection rows in other geometries."""
    with device_slot() as device, progress("other geometries") as on_progress:
        table = transform_table(
            (config.transform, *config.also_seen_as),
            config.backbone,
            load_head(store().open(head)),
            load_ledger(ledger),
            store_folder=feature_folder(),
            device=device,
            on_progress=on_progress,
        )
    inputs, purposes = [head, ledger], [Purpose.SELECT_MODEL]
    return store().put_file(ArtifactKind.METRICS, TRANSFORMS_FILE, table, inputs=inputs, purposes=purposes)


@task
def measure_reference(ledger: ArtifactRef, features: ArtifactRef) -> float:
    """Accuracy of a logistic regression on the same features, as a fraction."""
    splits = load_ledger(ledger)
    fit_rows, select_rows = (feature_rows(features, splits, p) for p in (Purpose.FIT_WEIGHTS, Purpose.SELECT_MODEL))
    return reference_accuracy(fit_rows, select_rows)


def write_measured(measured: Measured, rows: Predictions, folder: Path) -> None:
    """Numbers, the resamples behind their intervals, and the predictions that they were computed from."""
    rows.save(folder / PREDICTIONS_FILE)
    (folder / EVALUATION_FILE).write_text(measured.evaluation.to_json(), encoding="utf-8")
    with (folder / RESAMPLES_FILE).open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **dict(measured.draws))


def load_measured(ref: ArtifactRef) -> Measured:
    """Numbers and resamples behind an evaluation."""
    with np.load(store().open(ref) / RESAMPLES_FILE, allow_pickle=False) as file:
        return Measured(load_evaluation(ref), {name: file[name] for name in file.files})


def load_evaluation(ref: ArtifactRef) -> Evaluation:
    """The evaluation behind a reference."""
    return Evaluation.from_json_file(store().open(ref) / EVALUATION_FILE)


def load_final_predictions(ref: ArtifactRef) -> Predictions:
    """The VAL_TEST predictions behind an evaluation."""
    return Predictions.load(store().open(ref) / PREDICTIONS_FILE)
