"""The historical trainer's options as a configuration of today."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from stage1_core.data.config import DataConfig
from stage1_core.data.ledger import CutValidation
from stage1_core.data.sources.natix_csv import NatixCsvSource
from stage1_core.model.backbone_config import TransformersBackboneConfig
from stage1_core.model.head import HeadConfig
from stage1_core.phases.baseline import BaselineConfig
from stage1_core.training.accumulation import WholeAccumulation
from stage1_core.training.averaging import NoAverageConfig, WarmupAverageConfig
from stage1_core.training.batching import BatchConfig
from stage1_core.training.config import TrainingConfig
from stage1_core.training.epoch_log import EpochLogConfig
from stage1_core.training.execution import Precision
from stage1_core.training.objective import CrossEntropyConfig
from stage1_core.training.optimizer import AdamWConfig
from stage1_core.training.schedule import WarmupCosineConfig, WarmupEpochs
from stage1_core.training.selection import SelectionConfig, SelectionMetric


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
