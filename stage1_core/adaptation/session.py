"""A pretraining that keeps its state in a folder: killed at any moment, the same call goes on and ends the same."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from stage1_core.adaptation.config import ExploraConfig
from stage1_core.adaptation.outcomes import EpochRecord, PretrainingLog, PretrainingReport
from stage1_core.adaptation.pretraining import (
    OnUpdate,
    PretrainingEpoch,
    Probe,
    kept_backbone,
    kept_epoch,
    pretrain,
)
from stage1_core.adaptation.trainable import changes, may_change
from stage1_core.data.replacing import replaced_file
from stage1_core.data.transforms import EvalTransform
from stage1_core.errors import CheckpointError
from stage1_core.model.backbone import Backbone
from stage1_core.training.checkpoint import latest_good, save_checkpoint
from stage1_core.training.cost import CostLog
from stage1_core.training.state import TrainingState

log = logging.getLogger(__name__)

LOG_FILE = "pretraining.json"
OnEpoch = Callable[[PretrainingEpoch], None]


@dataclass(frozen=True, slots=True, eq=False)
class Pretrained:
    """A backbone as any other, and where it comes from."""

    backbone: Backbone
    """To be written by `save_backbone`; the original itself where the probe never improved."""
    report: PretrainingReport
    seconds: float
    """Of all epochs with their probes, those before a kill included."""
    peak_memory_bytes: int


def run_pretraining(
    backbone: Backbone,
    pictures: pd.DataFrame,
    transform: EvalTransform,
    probe: Probe,
    config: ExploraConfig,
    folder: Path,
    *,
    identity: str,
    workers: int | None = None,
    on_epoch: OnEpoch | None = None,
    on_update: OnUpdate | None = None,
) -> Pretrained:
    """`pretrain` to its end, with checkpoints and ``pretraining.json`` in ``folder``; ``backbone`` stays as it is.

    ``identity`` is the digest of all that determines the pretraining: backbone, pictures, transform, configuration;
    checkpoints of another are refused with `CheckpointError`. ``on_epoch`` sees each epoch after it is saved, so what
    it has reported is never trained again.
    """
    state = latest_good(folder, config_digest=identity)
    costs, records = CostLog(folder), _known(folder / LOG_FILE, state)
    if state is not None:
        log.info("continuing the pretraining after epoch %d of at most %d", state.epoch, config.epochs)
    epochs = pretrain(backbone, pictures, transform, probe, config, state=state, workers=workers, on_update=on_update)
    for result in epochs:
        state = result.state()
        records.append(_record(result))
        # The log first: a kill in between leaves an epoch too many, which continuing cuts off, and never one too few.
        folder.mkdir(parents=True, exist_ok=True)
        with replaced_file(folder / LOG_FILE) as path:
            path.write_text(PretrainingLog(epochs=tuple(records)).to_json(), encoding="utf-8")
        save_checkpoint(folder, state, config_digest=identity)
        costs(result)
        log.info("epoch %d: loss %s, AUGRC of the probe %.4f", result.epoch, result.loss, result.probe.augrc)
        if on_epoch is not None:
            on_epoch(result)
    assert state is not None, "a pretraining without state yields at least its epoch 0"
    kept = kept_backbone(backbone, state, config)
    changed = changes(backbone, kept)
    wrongly = changed - may_change(backbone, config.trainable)
    report = PretrainingReport(
        epochs=tuple(records),
        kept_epoch=kept_epoch(state).epoch,
        trainable_parameters=sum(weight.numel() for weight in state.weights.values()),
        changed=tuple(sorted(changed)),
        changed_wrongly=tuple(sorted(wrongly.union(*(record.changed_wrongly for record in records)))),
    )
    return Pretrained(kept, report, *costs.total(len(records)))


def _record(result: PretrainingEpoch) -> EpochRecord:
    return EpochRecord(
        epoch=result.epoch,
        loss=result.loss,
        probe=result.probe,
        changed_wrongly=tuple(sorted(result.changed_wrongly)),
    )


def _known(path: Path, state: TrainingState | None) -> list[EpochRecord]:
    """Epochs that need not be made again."""
    if state is None:
        return []
    epochs = list(PretrainingLog.from_json_file(path).epochs[: state.epoch + 1])
    if len(epochs) != state.epoch + 1:
        raise CheckpointError(f"{path} lacks epochs that the checkpoint beside it has made; delete the folder")
    return epochs
