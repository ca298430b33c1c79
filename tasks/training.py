"""Tasks that fit the head and apply it."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Self

import numpy as np

from stage1_core.bundle.artifact import ArtifactKind, ArtifactRef
from stage1_core.digests import digest_of_file, identity_of
from stage1_core.model.classifier import predict_features
from stage1_core.model.head import Head, HeadConfig
from stage1_core.model.head_files import WEIGHTS_FILE, load_head, save_head
from stage1_core.predictions import Predictions
from stage1_core.splits import Purpose
from stage1_core.training.config import TrainingConfig
from stage1_core.training.fitting import fit_head
from stage1_core.training.loop import EpochResult
from stage1_core.training.selection import SelectionMetric
from stage1_core.training.session import LOG_FILE
from stage1_core.training.state import TrainingState, load_best
from tasks._device import device_slot
from tasks._progress import OnProgress, progress
from tasks._task import task
from tasks._workspace import checkpoint_folder, store
from tasks.data import load_ledger
from tasks.features import feature_rows
from tasks.runs import RunRef
from tasks.tracking import find_or_start, finish, log_metrics


@task
def train_head(
    head: HeadConfig, training: TrainingConfig, ledger: ArtifactRef, features: ArtifactRef, run: RunRef
) -> ArtifactRef:
    """Fit the head; every epoch is saved, and shown in MLflow while it runs."""
    splits = load_ledger(ledger)
    fit_rows, select_rows = (feature_rows(features, splits, p) for p in (Purpose.FIT_WEIGHTS, Purpose.SELECT_MODEL))
    groups = splits.rows(Purpose.FIT_WEIGHTS)["group"].to_numpy(dtype=np.str_)
    identity = training_identity(head, training, features)
    folder = checkpoint_folder(identity)
    with (
        device_slot(),
        progress("training") as on_progress,
        _EpochReporter(run, identity, training.epochs, on_progress) as reporter,
    ):
        model, state = fit_head(
            head, training, fit_rows, groups, select_rows, folder, identity=identity, on_epoch=reporter
        )
    return store().put(
        ArtifactKind.HEAD,
        lambda place: _write_heads(model, state, folder / LOG_FILE, place),
        inputs=[ledger, features],
        purposes=(Purpose.FIT_WEIGHTS, Purpose.SELECT_MODEL),
    )


@task
def predict(head: ArtifactRef, ledger: ArtifactRef, features: ArtifactRef, purpose: Purpose) -> ArtifactRef:
    """Scores and labels of the rows of one purpose."""
    rows = predictions_for(head, ledger, features, purpose)
    return store().put(
        ArtifactKind.PREDICTIONS,
        lambda folder: rows.save(folder / "predictions.npz"),
        inputs=[head, ledger, features],
        purposes=[purpose],
    )


def predictions_for(
    head: ArtifactRef, ledger: ArtifactRef, features: ArtifactRef, purpose: Purpose, *, folder: str = "."
) -> Predictions:
    """Predictions of a stored head, or of one kept in ``folder`` beside it."""
    splits = load_ledger(ledger)
    rows = feature_rows(features, splits, purpose)
    scores = predict_features(load_head(store().open(head) / folder), rows.features.numpy(), rows.ids)
    return splits.labelled(purpose, scores)


def weights_digest(head: ArtifactRef) -> str:
    """Digest of a stored head's weights: the same weights trained again are the same model, whatever the log says."""
    return digest_of_file(store().open(head) / WEIGHTS_FILE)


def training_identity(head: HeadConfig, training: TrainingConfig, features: ArtifactRef) -> str:
    """Digest of all that determines a training: shape, configuration, data, library."""
    return identity_of(head.model_dump(mode="json"), training.model_dump(mode="json"), features.sha256)


def kept_folder(metric: SelectionMetric) -> str:
    """Where the best head by ``metric`` lies beside the released one."""
    return f"kept/{metric.value}"


def _write_heads(model: Head, state: TrainingState, epochs: Path, folder: Path) -> None:
    """The released head, and below it the best by each metric that was kept."""
    save_head(model, folder)
    shutil.copyfile(epochs, folder / LOG_FILE)
    for metric in state.progress.best:
        kept = copy.deepcopy(model)
        load_best(kept, state, metric)
        (folder / kept_folder(metric)).mkdir(parents=True)
        save_head(kept, folder / kept_folder(metric))


class _EpochReporter:
    """Shows each epoch in MLflow, in a run nested below the phase's, and in the progress of the step."""

    def __init__(self, run: RunRef, identity: str, epochs: int, on_progress: OnProgress) -> None:
        self._run_id = find_or_start(identity, "training", parent=run.mlflow_run_id)
        self._epochs = epochs
        self._on_progress = on_progress

    def __enter__(self) -> Self:
        return self

    def __call__(self, result: EpochResult) -> None:
        values = {"train_loss": result.train_loss, "val_loss": result.val_loss, "learning_rate": result.learning_rate}
        values |= {"val_accuracy": result.metrics.accuracy, "val_augrc": result.metrics.augrc}
        values |= {"images_per_second": result.images_per_second, "peak_memory_mib": result.peak_memory_bytes / 2**20}
        log_metrics(self._run_id, values, step=result.epoch)
        self._on_progress(self._epochs if result.is_last else result.epoch, self._epochs)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        finish(self._run_id, succeeded=kind is None)
