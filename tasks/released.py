"""What a version's release says about itself, found from the registry alone."""

from __future__ import annotations

import platform
import tempfile
from pathlib import Path

from stage1_core.acceptance import RiskCheck
from stage1_core.config import FrozenModel
from stage1_core.errors import BundleError
from tasks._workspace import store, workspace
from tasks.phase import ReleasedPhase
from tasks.registry_versions import CERTIFICATE_TAG, VersionRecord
from tasks.tracking import client

RELEASE_FILE = "release/released.json"
"""In the MLflow run that the version was registered from."""


class ReleaseRecord(FrozenModel):
    """A release, and where what it refers to lies."""

    released: ReleasedPhase
    workspace: str
    """Folder that holds its store, on ``machine``."""
    machine: str


def record_release(released: ReleasedPhase) -> None:
    """Log the record to the run of the release, and tag the version with what it promises."""
    record = ReleaseRecord(released=released, workspace=str(workspace()), machine=platform.node())
    client().log_text(released.run.mlflow_run_id, record.to_json(), RELEASE_FILE)
    version = released.registered
    client().set_model_version_tag(version.name, version.version, CERTIFICATE_TAG, promise_of(released.certified))


def promise_of(certified: RiskCheck) -> str:
    """A certificate in one line."""
    return f"{certified.name}: {certified.evidence}; demanded: {certified.demand}"


def load_release(version: VersionRecord) -> ReleasedPhase:
    """What ``version`` was released with. Raises `BundleError` where its record or the data behind it are not here."""
    subject = f"{version.model} version {version.version}"
    if RELEASE_FILE not in {file.path for file in client().list_artifacts(version.run_id, "release")}:
        raise BundleError(f"{subject} has no {RELEASE_FILE} in its MLflow run {version.run_id}; release it again")
    with tempfile.TemporaryDirectory() as folder:
        record = ReleaseRecord.from_json_file(Path(client().download_artifacts(version.run_id, RELEASE_FILE, folder)))
    ledger = record.released.made.ledger
    if not store().intact(ledger):
        raise BundleError(
            f"{subject} was released from {record.workspace} on {record.machine}: the list of the pictures that it was "
            f"tested on is there and not in {workspace()}; promote where STAGE1_ARTIFACTS names that workspace"
        )
    return record.released
