"""Single steps of a baseline, without a flow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import typer

from stage1_cli._progress import progress_bar
from stage1_core.compute.choice import chosen_compute
from stage1_core.data.features import Features
from stage1_core.data.ledger import SplitLedger
from stage1_core.data.loading import available_cores
from stage1_core.data.prepare import prepare
from stage1_core.data.transforms import AugmentConfig, NoAugment
from stage1_core.digests import identity_of
from stage1_core.model.backbone import load_backbone
from stage1_core.model.classifier import Classifier
from stage1_core.model.device import best_device
from stage1_core.model.extraction import extract_features
from stage1_core.model.head import Head, build_head
from stage1_core.model.head_files import save_head
from stage1_core.phases.baseline import BaselineConfig
from stage1_core.splits import Purpose
from stage1_core.training.execution import is_main_process
from stage1_core.training.fitting import fit_head
from stage1_core.training.loop import EpochResult
from stage1_core.training.picture_rows import PictureRows
from stage1_core.training.rows import FeatureRows
from stage1_core.training.session import LOG_FILE, run_training
from tasks._workspace import feature_folder, inspection_folder

TRAINING_FOLDER = "training"


def prepared_ledger(config: BaselineConfig) -> SplitLedger:
    """Audited, split rows."""
    with progress_bar("opening pictures") as on_progress:
        return prepare(config.data, inspections=inspection_folder(), on_progress=on_progress).ledger


def all_features(config: BaselineConfig, ledger: SplitLedger) -> Features:
    """Features of every row of the ledger, in its order."""
    return features_of(ledger.samples, config)


def features_of(rows: pd.DataFrame, config: BaselineConfig) -> Features:
    """Features of ``rows`` of a ledger, in their order."""
    with progress_bar("extracting features") as on_progress:
        return extract_features(
            rows,
            config.backbone,
            config.transform,
            store_folder=feature_folder(),
            device=best_device(),
            compute=chosen_compute(),
            on_progress=on_progress,
        )


def train_on_features(config: BaselineConfig, folder: Path) -> None:
    """Train the head of ``config`` on cached features into ``folder``."""
    ledger = prepared_ledger(config)
    features = all_features(config, ledger)
    head, _ = fit_head(
        config.head,
        config.training,
        FeatureRows.read(features, ledger, Purpose.FIT_WEIGHTS),
        ledger.rows(Purpose.FIT_WEIGHTS)["group"].to_numpy(dtype=np.str_),
        FeatureRows.read(features, ledger, Purpose.SELECT_MODEL),
        folder / TRAINING_FOLDER,
        identity=identity_of(config.digest(), ledger.digest, "cached"),
        on_epoch=_report,
    )
    _write(head, config, folder)


def train_on_pictures(config: BaselineConfig, augment: AugmentConfig, folder: Path) -> None:
    """Train the head of ``config`` end to end behind the frozen backbone, on augmented pictures, into ``folder``."""
    ledger = prepared_ledger(config)

    def rows_for(purpose: Purpose, augment: AugmentConfig) -> PictureRows:
        seed, workers = config.training.seed, available_cores() - 1
        return PictureRows.of(
            purpose, ledger.rows(purpose), config.transform, augment=augment, seed=seed, workers=workers
        )

    backbone = load_backbone(config.backbone, device="cpu")
    head = build_head(backbone.hidden, config.head, seed=config.training.seed)
    run_training(
        Classifier(backbone, head),
        rows_for(Purpose.FIT_WEIGHTS, augment),
        rows_for(Purpose.SELECT_MODEL, NoAugment()),
        config.training,
        folder / TRAINING_FOLDER,
        identity=identity_of(config.digest(), ledger.digest, augment.kind),
        on_epoch=_report,
    )
    _write(head, config, folder)


def _write(head: Head, config: BaselineConfig, folder: Path) -> None:
    """What was trained, beside the checkpoints in ``folder``; once, where several processes share the training."""
    if not is_main_process():
        return
    (folder / "config.json").write_text(config.to_json(), encoding="utf-8")
    save_head(head, folder)
    (folder / LOG_FILE).write_bytes((folder / TRAINING_FOLDER / LOG_FILE).read_bytes())
    typer.echo(f"{folder} holds the head of the best epoch, and {LOG_FILE}")


def _report(result: EpochResult) -> None:
    typer.echo(
        f"epoch {result.epoch}: loss {result.train_loss:.4f}, validation loss {result.val_loss:.4f}, "
        f"accuracy {result.metrics.accuracy:.2%} (n = {len(result.labels)}), {result.images_per_second:.0f} images/s"
    )
