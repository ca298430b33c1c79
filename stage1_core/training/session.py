"""A training that keeps its state in a folder: killed at any moment, the same call goes on and ends the same."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from torch import nn

from stage1_core.errors import CheckpointError
from stage1_core.training.checkpoint import checkpoints, latest_good, save_checkpoint
from stage1_core.training.config import TrainingConfig
from stage1_core.training.epoch_log import epoch_row, read_rows, write_log
from stage1_core.training.execution import is_main_process
from stage1_core.training.loop import EpochResult, OnUpdate, train
from stage1_core.training.rows import Rows
from stage1_core.training.state import TrainingState, load_best

log = logging.getLogger(__name__)

LOG_FILE = "metrics.csv"
OnEpoch = Callable[[EpochResult], None]


def run_training(
    model: nn.Module,
    fit_rows: Rows,
    select_rows: Rows,
    config: TrainingConfig,
    folder: Path,
    *,
    identity: str,
    on_epoch: OnEpoch | None = None,
    on_update: OnUpdate | None = None,
) -> TrainingState:
    """Train ``model`` in place and leave it with the weights of the best epoch; return the final state.

    The state's `kept` holds the best epochs by the other metrics too: `load_best` writes one into a copy of the model.
    ``folder`` holds the checkpoints and ``metrics.csv``. ``identity`` is the digest of all that determines the
    training; checkpoints of another are refused with `CheckpointError`. ``on_epoch`` sees each epoch after it is saved,
    so what it has reported is never trained again. Where several processes share the training, the first alone writes
    and reports; all return the same weights.
    """
    state = latest_good(folder, config_digest=identity)
    rows = read_rows(folder / LOG_FILE)[: state.epoch if state else 0]
    if state is not None:
        log.info("continuing after epoch %d of at most %d", state.epoch, config.epochs)
    for result in train(model, fit_rows, select_rows, config, state=state, on_update=on_update):
        state = result.state()
        if not is_main_process():
            continue
        rows.append(epoch_row(result, config.epoch_log))
        # The log first: a kill in between leaves a row too many, which continuing cuts off, and never one too few.
        folder.mkdir(parents=True, exist_ok=True)
        write_log(folder / LOG_FILE, rows)
        save_checkpoint(folder, state, config_digest=identity)
        if result.is_last:
            _log_end(result, folder)
        if on_epoch is not None:
            on_epoch(result)
    if state is None:
        raise CheckpointError(f"training in {folder} made no epoch; give it at least one")
    load_best(model, state, config.selection.metric)
    return state


def _log_end(result: EpochResult, folder: Path) -> None:
    newest = checkpoints(folder)[0]
    size = sum(file.stat().st_size for file in newest.iterdir())
    log.info(
        "%d epochs, the last with %.0f images/s; peak memory %.0f MiB; a checkpoint has %.1f MiB, the newest is %s",
        result.epoch,
        result.images_per_second,
        result.peak_memory_bytes / 2**20,
        size / 2**20,
        newest,
    )
