"""Passwords and tokens of a worker's environment appear in nothing that its runs write. Takes a minute."""

from __future__ import annotations

from pathlib import Path

from mlflow import MlflowClient
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from flows.baseline import baseline
from tests.integration.toys import draw_pictures, toy_config
from tests.live.deploying import deploy, log_of, make_pool, submit, until_final
from tests.live.servers import mlflow_server, prefect_server, started, worker

POOL = "secretive"
SECRETS = {
    "HF_TOKEN": "hf_canaryCanaryOfTheHub",
    "MLFLOW_TRACKING_PASSWORD": "canary-of-mlflow",
    "PREFECT_API_AUTH_STRING": "admin:canary-of-prefect",
    "STAGE1_WEBHOOK_URL": "http://127.0.0.1:9/hooks/canary-of-the-webhook",
    "AWS_SECRET_ACCESS_KEY": "canary/of/the/bucket",
}
NAMES = {"MLFLOW_TRACKING_USERNAME": "canary"}
"""Without a user name MLflow sends no password. It is recorded as the author of each run, as it should be."""


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


def test_nothing_that_a_run_writes_holds_a_secret(tmp_path, monkeypatch):
    written = tmp_path / "written"
    auth = SECRETS["PREFECT_API_AUTH_STRING"]
    prefect = prefect_server(written / "prefect", PREFECT_SERVER_API_AUTH_STRING=auth, PREFECT_API_AUTH_STRING=auth)
    mlflow = mlflow_server(written / "mlflow")
    working = worker(POOL, written / "workspace", prefect=prefect.url, mlflow=mlflow.url, **SECRETS, **NAMES)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow.url)
    config = toy_config(draw_pictures(tmp_path / "pictures"))
    known_to_the_client = {PREFECT_API_URL: prefect.url, PREFECT_API_AUTH_STRING: auth}
    with started(prefect, mlflow), temporary_settings(updates=known_to_the_client):
        make_pool(POOL)
        with started(working):
            run = submit(deploy(baseline, POOL), {"config": config.model_dump(mode="json")})
            assert until_final(run).is_completed(), log_of(run)
        assert len(MlflowClient(mlflow.url).search_model_versions("name = 'toy'")) == 1
        assert not any(secret in log_of(run) for secret in SECRETS.values())
    assert holds(written) == {}
