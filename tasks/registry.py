"""The bundle in MLflow's model registry, as a pyfunc model."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from stage1_core import __version__
from stage1_core.bundle.manifest import MANIFEST_FILE, BundleManifest
from stage1_core.config import FrozenModel
from tasks.registry_aliases import offer, settle_pending
from tasks.registry_lease import registry_lease
from tasks.registry_versions import DIGEST_TAG, RELEASE_TAG
from tasks.tracking import client, experiment_id

if TYPE_CHECKING:
    from mlflow.models.model import ModelInfo

MODEL_CODE = Path(__file__).with_name("pyfunc_model.py")
REQUIREMENTS = ("mlflow", "numpy", "pandas", "pillow", "pydantic", "jsonschema", "safetensors", "scipy")
"""What `mlflow models serve` installs besides the backbone's own library."""


class Registered(FrozenModel):
    """A version in the registry."""

    name: str
    version: str


def register_bundle(bundle: Path, name: str, *, run_id: str, tags: dict[str, str]) -> Registered:
    """Log ``bundle`` as a model of run ``run_id``, register it, and offer it with the alias ``candidate``.

    A bundle that is registered already, by its content digest, is found again.
    """
    manifest = BundleManifest.from_json_file(bundle / MANIFEST_FILE)
    tags = tags | {DIGEST_TAG: manifest.content_digest, RELEASE_TAG: manifest.release.version}
    version = _find(name, manifest.content_digest) or _create(name, _log_model(bundle, run_id), run_id, tags)
    with registry_lease(name):
        settle_pending(name)
        offer(name, version)
    return Registered(name=name, version=version)


def _find(name: str, digest: str) -> str | None:
    found = client().search_model_versions(f"name = '{name}' and tags.`{DIGEST_TAG}` = '{digest}'", max_results=1)
    return str(found[0].version) if found else None


def _create(name: str, logged: ModelInfo, run_id: str, tags: dict[str, str]) -> str:
    mlflow = client()
    if not mlflow.search_registered_models(f"name = '{name}'", max_results=1):
        mlflow.create_registered_model(name)
    version = mlflow.create_model_version(
        name, logged.model_uri, run_id=run_id, tags=tags, model_id=logged.model_id
    )  # a server refuses a logged model whose id is not named as well
    return str(version.version)


def _log_model(bundle: Path, run_id: str) -> ModelInfo:
    """Log the pyfunc model. The run is named, because the active one is another thread's business."""
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    inputs = Schema([ColSpec(DataType.binary, "image")])
    outputs = Schema(
        [
            ColSpec(DataType.boolean, "exited"),
            ColSpec(DataType.long, "label"),
            ColSpec(DataType.double, "probability"),
            ColSpec(DataType.long, "stage_b_label"),
        ]
    )
    mlflow.set_experiment(experiment_id=experiment_id())
    with mlflow.start_run(run_id=run_id), warnings.catch_warnings():
        # An example would be stored, and the model run on it; the bundle's golden pictures do that already.
        warnings.filterwarnings("ignore", message=".*input example was not provided", category=UserWarning)
        logged: ModelInfo = mlflow.pyfunc.log_model(
            name="bundle",
            python_model=str(MODEL_CODE),
            artifacts={"bundle": str(bundle)},
            signature=ModelSignature(inputs=inputs, outputs=outputs),
            pip_requirements=[*REQUIREMENTS, "torch", "torchvision", "timm", "transformers"],
            code_paths=[str(Path(__file__).parents[1] / "stage1_core")],
            metadata={"stage1_core": __version__},
        )
    return logged
