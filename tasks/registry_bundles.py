"""The bundle of a registered version as it lies in the registry now: downloaded and verified each time."""

from __future__ import annotations

import shutil
from pathlib import Path

from stage1_core.bundle.artifact import ArtifactKind, ArtifactRef
from stage1_core.bundle.manifest import MANIFEST_FILE, BundleManifest
from stage1_core.bundle.verify import verify_bundle
from stage1_core.errors import BundleError
from stage1_core.promotion.evidence import RegisteredBundle
from tasks._workspace import store
from tasks.release import BUNDLE_FOLDER

_REPLACE = "restore its files, or delete the version and release it again: a bundle that is registered is found again"

MODEL_FOLDER = "artifacts"
"""Where MLflow's pyfunc flavour keeps the files that a model was logged with."""


def fetch_bundle(model: str, registered: RegisteredBundle) -> ArtifactRef:
    """Download and verify a version's bundle; the store keeps it once, however often it is fetched.

    What was fetched before is no witness: the files in the registry may have been changed since. Raises `BundleError`
    where they are not those that were released.
    """

    def download(folder: Path) -> None:
        import mlflow

        address = f"models:/{model}/{registered.version}/{MODEL_FOLDER}/{BUNDLE_FOLDER}"
        if not mlflow.artifacts.list_artifacts(artifact_uri=address):  # a download would fail as if nobody answered
            raise BundleError(f"{model} version {registered.version} has lost its bundle in the registry; {_REPLACE}")
        found = Path(mlflow.artifacts.download_artifacts(artifact_uri=address, dst_path=str(folder)))
        shutil.move(found, folder / BUNDLE_FOLDER)
        shutil.rmtree(folder / MODEL_FOLDER)
        _require_released(model, registered, folder / BUNDLE_FOLDER)

    return store().put(ArtifactKind.BUNDLE, download)


def bundle_folder(ref: ArtifactRef) -> Path:
    """The folder of a fetched bundle, to read."""
    return store().open(ref) / BUNDLE_FOLDER


def _require_released(model: str, registered: RegisteredBundle, folder: Path) -> None:
    subject = f"{model} version {registered.version}"
    report = verify_bundle(folder)
    if not report.passed:
        raise BundleError(f"{subject} is damaged in the registry ({report.summary()}); {_REPLACE}")
    found = BundleManifest.from_json_file(folder / MANIFEST_FILE).content_digest
    if found != registered.content_digest:
        raise BundleError(
            f"{subject} was registered with bundle {registered.content_digest[:12]}…, the registry now holds "
            f"{found[:12]}…; {_REPLACE}"
        )
