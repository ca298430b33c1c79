"""Single steps of a baseline, without a flow."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import typer

from stage1_cli._progress import progress_bar
from stage1_core.data.config import DataConfig
from stage1_core.data.features import Features
from stage1_core.data.ledger import CutValidation, SplitLedger
from stage1_core.data.prepare import prepare
from stage1_core.data.sources.natix_csv import NatixCsvSource
from stage1_core.digests import canonical_json, core_source_digest, digest_of_bytes
from stage1_core.model.backbone_config import TransformersBackboneConfig
from stage1_core.model.device import best_device
from stage1_core.model.extraction import extract_features
from stage1_core.model.head import HeadConfig, build_head
from stage1_core.model.head_files import save_head
from stage1_core.phases.baseline import BaselineConfig
from stage1_core.splits import Purpose
from stage1_core.training.accumulation import WholeAccumulation
from stage1_core.training.averaging import NoAverageConfig, WarmupAverageConfig
from stage1_core.training.batching import BatchConfig
from stage1_core.training.config import TrainingConfig
from stage1_core.training.epoch_log import EpochLogConfig
from stage1_core.training.execution import Precision
from stage1_core.training.loop import EpochResult
from stage1_core.training.objective import CrossEntropyConfig
from stage1_core.training.optimizer import AdamWConfig
from stage1_core.training.rows import FeatureRows
from stage1_core.training.schedule import WarmupCosineConfig, WarmupEpochs
from stage1_core.training.selection import SelectionConfig, SelectionMetric
from stage1_core.training.session import run_training


class HistoricalOptions(NamedTuple):
    """The historical trainer's options that still mean something."""

    model_path: str
    train: tuple[Path, Path]
    """Folder of pictures, CSV of labels."""
    val: tuple[Path, Path]
    epochs: int
    warmup_epochs: int
    lr_head: float
    weight_decay: float
    label_smoothing: float
    dropout: float
    max_grad_norm: float
    batch_sizes: tuple[int, int]
    grad_accum_steps: int
    ema_decay: float | None
    precision: Precision
    early_stop_patience: int
    legacy_exit_threshold_for_logging: float
    seed: int

    def to_config(self) -> BaselineConfig:
        """The same as a configuration: the schedule counted in optimizer steps, the average warmed up."""
        sources = (_source("train", *self.train), _source("val", *self.val))
        training = TrainingConfig(
            objective=CrossEntropyConfig(label_smoothing=self.label_smoothing),
            optimizer=AdamWConfig(lr_head=self.lr_head, weight_decay=self.weight_decay),
            schedule=WarmupCosineConfig(warmup=WarmupEpochs(epochs=self.warmup_epochs)),
            average=NoAverageConfig() if self.ema_decay is None else WarmupAverageConfig(decay=self.ema_decay),
            selection=SelectionConfig(metric=SelectionMetric.ACCURACY, patience=self.early_stop_patience),
            batch=BatchConfig(
                sizes=self.batch_sizes, accumulation=WholeAccumulation(micro_batches=self.grad_accum_steps)
            ),
            epochs=self.epochs,
            max_grad_norm=self.max_grad_norm,
            precision=self.precision,
            epoch_log=EpochLogConfig(legacy_exit_threshold_for_logging=self.legacy_exit_threshold_for_logging),
            seed=self.seed,
        )
        return BaselineConfig(
            data=DataConfig(sources=sources, split=CutValidation(seed=self.seed)),
            backbone=TransformersBackboneConfig(model=self.model_path),
            head=HeadConfig(dropout=self.dropout),
            training=training,
        )


def _source(role: str, images: Path, labels: Path) -> NatixCsvSource:
    return NatixCsvSource.model_validate(
        {
            "name": role,
            "root": images.parent,
            "label_file": str(labels.absolute()),
            "image_folder": str(images.absolute()),
            "role": role,
        }
    )


def prepared_features(config: BaselineConfig, workspace: Path) -> tuple[SplitLedger, Features]:
    """Audited, split rows and the features of all of them."""
    with progress_bar("opening pictures") as on_progress:
        prepared = prepare(config.data, inspections=workspace / "inspections", on_progress=on_progress)
    with progress_bar("extracting features") as on_progress:
        features = extract_features(
            prepared.ledger.samples,
            config.backbone,
            config.transform,
            store_folder=workspace / "features",
            device=best_device(),
            on_progress=on_progress,
        )
    return prepared.ledger, features


def train_to_folder(config: BaselineConfig, folder: Path, workspace: Path) -> None:
    """Train the head of ``config`` into ``folder``; checkpoints lie below it until the next training."""
    ledger, features = prepared_features(config, workspace)
    fit_rows, select_rows = (_rows(ledger, features, p) for p in (Purpose.FIT_WEIGHTS, Purpose.SELECT_MODEL))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(config.to_json(), encoding="utf-8")
    head = build_head(features.values.shape[1], config.head, seed=config.training.seed)
    identity = digest_of_bytes(canonical_json([config.digest(), ledger.digest, core_source_digest()]))
    run_training(head, fit_rows, select_rows, config.training, folder / "training", identity=identity, on_epoch=_report)
    save_head(head, folder)
    (folder / "metrics.csv").write_bytes((folder / "training" / "metrics.csv").read_bytes())
    typer.echo(f"{folder} holds the head of the best epoch, and metrics.csv")


def _rows(ledger: SplitLedger, features: Features, purpose: Purpose) -> FeatureRows:
    rows = ledger.rows(purpose)
    position = {name: index for index, name in enumerate(features.ids.tolist())}
    chosen = features.values[[position[name] for name in rows["id"]]]
    return FeatureRows.of(purpose, rows["id"].to_numpy(dtype=np.str_), chosen, rows["label"].to_numpy(dtype=np.int64))


def _report(result: EpochResult) -> None:
    typer.echo(
        f"epoch {result.epoch}: loss {result.train_loss:.4f}, validation loss {result.val_loss:.4f}, "
        f"accuracy {result.metrics.accuracy:.2%} (n = {len(result.labels)}), {result.images_per_second:.0f} images/s"
    )
