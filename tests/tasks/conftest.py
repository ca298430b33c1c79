"""A registry of a test's own, in a database: models with toy bundles, and flow runs that can begin anew."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from stage1_core.bundle.manifest import MANIFEST_FILE, BundleManifest
from stage1_core.bundle.release import release_bundle
from stage1_core.promotion.intent import Aliases, Intent
from tasks.registry_aliases import Move, carry_out
from tasks.registry_bundles import MODEL_FOLDER
from tasks.registry_versions import DIGEST_TAG
from tasks.release import BUNDLE_FOLDER
from tests.bundle.toys import LONG_AGO, toy_contents

Register = Callable[[str], Path]


@pytest.fixture(scope="session")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle; never changed by a test."""
    folder = tmp_path_factory.mktemp("sealed") / "bundle"
    release_bundle(toy_contents(tmp_path_factory.mktemp("run")), folder, created_at=LONG_AGO)
    return folder


@pytest.fixture
def register(workspace: Path, sealed: Path) -> Register:
    """Register the bundle as the next version of a model, and return the registry's copy, to spoil."""
    client = MlflowClient()
    digest = BundleManifest.from_json_file(sealed / MANIFEST_FILE).content_digest

    def registered(model: str) -> Path:
        if not client.search_registered_models(f"name = '{model}'"):
            client.create_registered_model(model)
        versions = len(client.search_model_versions(f"name = '{model}'"))
        logged = workspace / "logged" / f"{model}-{versions + 1}"
        copy = Path(shutil.copytree(sealed, logged / MODEL_FOLDER / BUNDLE_FOLDER))
        client.create_model_version(model, logged.as_uri(), tags={DIGEST_TAG: digest})
        return copy

    return registered


def crown(model: str, version: str, before: Aliases | None = None) -> None:
    """Make ``version`` the champion, on the record, as a rollback does: it needs no evidence."""
    standing = before or Aliases()
    intent = Intent(
        action="roll_back",
        model=model,
        before=standing,
        after=standing.model_copy(update={"champion": version}),
        evidence_digest=None,
        approval=None,
        nonce="of another run",
        recorded_at="2001-02-03T04:05:06+00:00",
    )
    carry_out(Move(intent=intent, notes={}))
