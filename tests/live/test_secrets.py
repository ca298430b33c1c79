"""Two servers that ask for passwords: runs and promotions that know them work, and write none of them down.

Takes some 80 seconds on two idle cores.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import pytest
from mlflow import MlflowClient
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from flows.baseline import baseline
from stage1_core.promotion.intent import Aliases
from tasks.registry_aliases import aliases_of
from tests.integration.toys import draw_pictures, toy_config
from tests.live.deploying import deploy, log_of, make_pool, submit, until_final
from tests.live.releases import stage1
from tests.live.servers import mlflow_server, prefect_server, started, worker

POOL, MODEL = "secretive", "toy"
SECRETS = {
    "HF_TOKEN": "hf_canaryCanaryOfTheHub",
    "MLFLOW_TRACKING_PASSWORD": "canary-of-mlflow",
    "PREFECT_API_AUTH_STRING": "admin:canary-of-prefect",
    "STAGE1_WEBHOOK_URL": "http://127.0.0.1:9/hooks/canary-of-the-webhook",
    "AWS_SECRET_ACCESS_KEY": "canary/of/the/bucket",
}
NAMES = {"MLFLOW_TRACKING_USERNAME": "canary"}
"""Recorded as the author of each run, as it should be."""
APPROVED = ("--yes", "--approver", "A. Tester", "--reason", "a test of passwords")


class Place(NamedTuple):
    """Where a worker has released a toy, and everything that was written meanwhile."""

    written: Path
    environment: dict[str, str]
    """In which another process works there."""
    run: UUID
    ended: State


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    written = tmp_path_factory.mktemp("written")
    auth, user = SECRETS["PREFECT_API_AUTH_STRING"], (*NAMES.values(), SECRETS["MLFLOW_TRACKING_PASSWORD"])
    prefect = prefect_server(written / "prefect", PREFECT_SERVER_API_AUTH_STRING=auth, PREFECT_API_AUTH_STRING=auth)
    mlflow = mlflow_server(written / "mlflow", user_and_password=user)
    working = worker(POOL, written / "workspace", prefect=prefect.url, mlflow=mlflow.url, **SECRETS, **NAMES)
    config = toy_config(draw_pictures(tmp_path_factory.mktemp("toys") / "pictures"))
    known_to_the_client = {PREFECT_API_URL: prefect.url, PREFECT_API_AUTH_STRING: auth}
    with (
        started(prefect, mlflow),
        temporary_settings(updates=known_to_the_client),
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in {"MLFLOW_TRACKING_URI": mlflow.url, **SECRETS, **NAMES}.items():
            patch.setenv(name, value)
        make_pool(POOL)
        with started(working):
            run = submit(deploy(baseline, POOL), {"config": config.model_dump(mode="json")})
            ended = until_final(run)
        yield Place(written, dict(working.environment), run, ended)


def holds(folder: Path) -> dict[Path, list[str]]:
    """Files below ``folder`` that hold a secret, with its name. Databases keep their text as it is."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            names = [name for name, secret in SECRETS.items() if secret.encode() in content]
            if names:
                found[path.relative_to(folder)] = names
    return found


def test_a_worker_that_knows_the_passwords_releases_a_bundle(place):
    assert place.ended.is_completed(), log_of(place.run)
    assert aliases_of(MODEL) == Aliases(candidate="1")


@pytest.mark.parametrize("wrong", [{"MLFLOW_TRACKING_PASSWORD": "another-password"}, {}], ids=["wrong", "none"])
def test_without_the_password_nothing_is_promoted_and_the_error_says_what_to_set(place, wrong):
    unknown = {name: value for name, value in place.environment.items() if not name.startswith("MLFLOW_TRACKING_P")}
    code, output = stage1(unknown | wrong, "promote", MODEL, *APPROVED)
    assert code == 2, output
    assert output.splitlines()[-1].startswith(
        "stage1: the MLflow server that MLFLOW_TRACKING_URI names asks for a user"
    )
    assert "Traceback" not in output
    assert aliases_of(MODEL) == Aliases(candidate="1")


def test_with_the_passwords_a_candidate_is_promoted(place):
    code, output = stage1(place.environment, "promote", MODEL, *APPROVED)
    assert code == 0, output
    assert aliases_of(MODEL) == Aliases(champion="1")
    assert MlflowClient().get_model_version(MODEL, "1").tags["stage1.approver"] == "A. Tester"
    assert not any(secret in output for secret in SECRETS.values())


def test_nothing_that_was_written_holds_a_secret(place):
    assert not any(secret in log_of(place.run) for secret in SECRETS.values())
    assert holds(place.written) == {}
