"""Where a run keeps its files. One environment variable moves everything."""

from __future__ import annotations

import os
from pathlib import Path

from stage1_core.bundle.store import ArtifactStore
from stage1_core.data.access_log import AccessLog


def workspace() -> Path:
    """``STAGE1_ARTIFACTS``, or ``artifacts`` below the working directory; absolute."""
    return Path(os.environ.get("STAGE1_ARTIFACTS", "artifacts")).absolute()


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


def runs_folder() -> Path:
    """One folder for each run, ``YYYYMMDD_HHMMSS``."""
    return workspace() / "runs"
