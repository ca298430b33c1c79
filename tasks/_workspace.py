"""Where a run keeps its files. One environment variable moves everything."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

from stage1_core.bundle.store import ArtifactStore
from stage1_core.data.access_log import AccessLog
from stage1_core.errors import Stage1Error


def workspace() -> Path:
    """``STAGE1_ARTIFACTS``, or ``artifacts`` below the working directory; absolute."""
    return Path(os.environ.get("STAGE1_ARTIFACTS", "artifacts")).absolute()


def require_lasting_places() -> None:
    """Raise `Stage1Error` unless the environment says where files and records are kept, whatever the working directory.

    A worker lets each run stand in a folder that it deletes afterwards.
    """
    said = os.environ.get("STAGE1_ARTIFACTS", "")
    if not Path(said).is_absolute():
        raise Stage1Error(
            f"STAGE1_ARTIFACTS is {said!r} here, and what a deployment's run keeps in its working directory is deleted "
            "with it; export the workspace's absolute path where the worker is started"
        )
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        raise Stage1Error(
            "MLFLOW_TRACKING_URI is not set here, and a registry in the working directory of a deployment's run is "
            "deleted with it; export MLflow's address where the worker is started"
        )


def store() -> ArtifactStore:
    """What tasks hand to each other, content-addressed."""
    return ArtifactStore(workspace() / "store")


def feature_folder() -> Path:
    """The feature cache, shared by all runs."""
    return workspace() / "features"


def inspection_folder() -> Path:
    """Digests and sizes of pictures already opened, shared by all runs."""
    return workspace() / "inspections"


def checkpoint_folder(key: str) -> Path:
    """Checkpoints of one training, by the digest of everything that determines it: a killed run finds its own."""
    return workspace() / "checkpoints" / key


def ledger_folder() -> Path:
    """Access logs, and which split continues which."""
    return workspace() / "ledgers"


def access_log(origin: str) -> AccessLog:
    """The record of openings of the splits that began with ledger ``origin``. It outlives runs, and grows only."""
    return AccessLog(ledger_folder() / f"{origin[:20]}.jsonl")


def lock_file(name: str) -> Path:
    """The file whose lock stands for ``name``, in a folder that is there."""
    folder = workspace() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{quote(name, safe='')}.lock"


def runs_folder() -> Path:
    """One folder for each run, ``YYYYMMDD_HHMMSS``."""
    return workspace() / "runs"
