"""Training states as folders: safetensors and JSON, written whole or not at all, verified before they are used."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError
from safetensors.torch import load_file, save_file
from torch import Tensor

from stage1_core.config import FrozenModel
from stage1_core.digests import canonical_json, digest_of_file
from stage1_core.errors import CheckpointError
from stage1_core.training.selection import Best, Progress, SelectionMetric
from stage1_core.training.state import TrainingState
from stage1_core.training.state_tree import pack, unpack

log = logging.getLogger(__name__)

WEIGHTS = "weights.safetensors"
"""Raw weights as ``model/<name>``, averages as ``ema/<name>``, best epochs as ``best/<epoch>/<name>``."""
TENSORS = "state.safetensors"
"""Tensors of optimizer, objective, random generators and gradients not yet stepped."""
SCALARS = "state.json"
MANIFEST = "manifest.json"
_DRAFT = ".draft-"


class CheckpointManifest(FrozenModel):
    """Written last: a folder without it is not a checkpoint."""

    format: Literal[1] = 1
    epoch: Annotated[int, Field(ge=0)]
    config_digest: str
    """Of everything that determines the training: configuration, data, library."""
    files: dict[str, str]
    """File name to hex sha256."""


def save_checkpoint(folder: Path, state: TrainingState, *, config_digest: str, keep: int = 2) -> Path:
    """Write ``state`` as ``folder/epoch-00001`` and remove all but the newest ``keep`` checkpoints.

    The new one appears at once and complete, by renaming a folder; a kill leaves at most a draft, removed next time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f"{_DRAFT}*"):
        shutil.rmtree(left)
    draft = folder / f"{_DRAFT}{os.getpid()}"
    draft.mkdir()
    scalars, tensors = _scalars_and_tensors(state)
    save_file(_weights(state), draft / WEIGHTS)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, draft / TENSORS)
    (draft / SCALARS).write_bytes(canonical_json(scalars))
    files = {name: digest_of_file(draft / name) for name in (WEIGHTS, TENSORS, SCALARS)}
    manifest = CheckpointManifest(epoch=state.epoch, config_digest=config_digest, files=files)
    (draft / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    for written in (*sorted(draft.iterdir()), draft):
        _flush(written)
    target = folder / f"epoch-{state.epoch:05d}"
    if target.exists():  # a damaged one, whose epoch was trained again: a folder cannot replace a full one
        target.rename(folder / f"{_DRAFT}old-{os.getpid()}")
    draft.replace(target)
    _flush(folder)
    size = sum(written.stat().st_size for written in target.iterdir())
    log.debug("checkpoint of epoch %d: %s, %.1f MiB", state.epoch, target, size / 2**20)
    for old in checkpoints(folder)[keep:]:
        shutil.rmtree(old)
    return target


def checkpoints(folder: Path) -> list[Path]:
    """Checkpoint folders, newest epoch first; none where ``folder`` does not exist."""
    return sorted(folder.glob("epoch-*"), reverse=True)


def load_checkpoint(path: Path, *, config_digest: str) -> TrainingState:
    """Read and verify one checkpoint. Raises `CheckpointError` where it is damaged or of another configuration."""
    manifest = _manifest(path)
    if manifest.config_digest != config_digest:
        raise CheckpointError(
            f"{path} belongs to another configuration ({manifest.config_digest[:12]}, not {config_digest[:12]}); "
            "continue with the configuration, data and version it was made with, or train in an empty folder"
        )
    for name in (WEIGHTS, TENSORS, SCALARS):
        file = path / name
        if not file.is_file() or digest_of_file(file) != manifest.files.get(name):
            raise CheckpointError(f"{file} is missing or was changed after it was written; use another checkpoint")
    scalars = json.loads((path / SCALARS).read_bytes())
    return _state(scalars, load_file(path / TENSORS), load_file(path / WEIGHTS))


def latest_good(folder: Path, *, config_digest: str) -> TrainingState | None:
    """The newest checkpoint that is whole; None where there is none at all. Damaged newer ones are logged and passed.

    Raises `CheckpointError` where a whole one is of another configuration, or all are damaged: training never
    begins anew without being told to.
    """
    found = checkpoints(folder)
    for position, path in enumerate(found):
        try:
            return load_checkpoint(path, config_digest=config_digest)
        except CheckpointError as error:
            if position + 1 == len(found) or _is_foreign(path, config_digest):
                raise CheckpointError(f"{error}; or delete {folder} to start from the first epoch") from error
            log.warning("%s; going back to %s", error, found[position + 1].name)
    return None


def _is_foreign(path: Path, config_digest: str) -> bool:
    try:
        return _manifest(path).config_digest != config_digest
    except CheckpointError:
        return False


def _manifest(path: Path) -> CheckpointManifest:
    try:
        return CheckpointManifest.model_validate_json((path / MANIFEST).read_bytes())
    except (OSError, ValidationError) as error:
        raise CheckpointError(f"{path} has no readable {MANIFEST}; use another checkpoint") from error


def _weights(state: TrainingState) -> dict[str, Tensor]:
    best = {best.epoch: best.weights for best in state.progress.best.values()}
    return {
        **_prefixed("model/", state.weights),
        **_prefixed("ema/", state.averages),
        **{key: value for epoch, values in best.items() for key, value in _prefixed(f"best/{epoch}/", values).items()},
    }


def _scalars_and_tensors(state: TrainingState) -> tuple[dict[str, Any], dict[str, Tensor]]:
    nested = {
        "optimizer": state.optimizer,
        "scaler": state.scaler,
        "objective": state.objective,
        "random": state.random,
        "gradients": state.gradients,
    }
    packed, tensors = pack(nested)
    scalars = {
        "epoch": state.epoch,
        "scheduler": {"updates": state.updates},
        "batch_size": state.batch_size,
        "ema": {"updates": state.average_updates},
        "best": {metric: {"epoch": best.epoch, "value": best.value} for metric, best in state.progress.best.items()},
        "patience": {"misses": state.progress.misses},
        "best_accuracy": state.best_accuracy,
        "state": packed,
    }
    return scalars, tensors


def _state(scalars: Mapping[str, Any], tensors: dict[str, Tensor], weights: Mapping[str, Tensor]) -> TrainingState:
    nested = unpack(scalars["state"], tensors)
    best = {
        SelectionMetric(metric): Best(found["epoch"], found["value"], _under(f"best/{found['epoch']}/", weights))
        for metric, found in scalars["best"].items()
    }
    return TrainingState(
        epoch=scalars["epoch"],
        updates=scalars["scheduler"]["updates"],
        batch_size=scalars["batch_size"],
        weights=_under("model/", weights),
        averages=_under("ema/", weights),
        average_updates=scalars["ema"]["updates"],
        progress=Progress(best, scalars["patience"]["misses"]),
        best_accuracy=scalars["best_accuracy"],
        **nested,
    )


def _prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor.contiguous() for name, tensor in tensors.items()}


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
