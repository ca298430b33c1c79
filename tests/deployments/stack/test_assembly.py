"""Which services a stack has, in which order, and what each of them is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployments.stack.assembly import assemble, open_databases
from deployments.stack.config import StackConfig
from deployments.stack.credentials import Credentials
from deployments.stack.postgres import Postgres
from deployments.stack.redis_server import RedisServer
from deployments.stack.service import Job
from stage1_core.errors import Stage1Error

PASSWORD = "correct-horse-battery"
CREDENTIALS = Credentials("operator", PASSWORD, "STAGE1_STACK_AUTH")
ENVIRONMENT = {
    "PATH": "/usr/bin",
    "STAGE1_STACK_AUTH": f"operator:{PASSWORD}",
    "MLFLOW_TRACKING_URI": "sqlite:////srv/mlflow.db",
    "PREFECT_API_URL": "http://elsewhere/api",
    "PREFECT_API_KEY": "a-key",
}


def assembled(folder: Path, credentials: Credentials | None = CREDENTIALS, **fields: object):
    (folder / "stack").mkdir(exist_ok=True)
    return assemble(StackConfig(workspace=folder, database="sqlite", **fields), ENVIRONMENT, credentials)


def services(folder: Path, credentials: Credentials | None = CREDENTIALS, **fields: object):
    steps = assembled(folder, credentials, **fields).steps
    return {each.name: each for step in steps for each in (step if isinstance(step, tuple) else (step,))}


def test_servers_come_first_then_deployments_then_workers(tmp_path):
    steps = assembled(tmp_path, cpu_workers=2).steps
    names = [step.name if isinstance(step, Job) else [each.name for each in step] for step in steps]
    assert names == [[], ["prefect", "mlflow"], "deploy", ["worker-cpu-1", "worker-cpu-2", "worker-gpu-1"]]


def test_pages_are_the_two_servers_alone(tmp_path):
    assert set(services(tmp_path, deploy=False, cpu_workers=0, gpu_workers=0)) == {"prefect", "mlflow"}


def test_no_password_is_on_a_command_line_or_shown(tmp_path):
    made = services(tmp_path)
    assert PASSWORD not in repr(made)
    assert "basic-auth" in made["mlflow"].command


def test_servers_demand_the_password_and_the_others_have_it(tmp_path):
    made = services(tmp_path)
    said = {name: {key for key, value in each.environment.items() if PASSWORD in value} for name, each in made.items()}
    client = {"PREFECT_API_AUTH_STRING", "MLFLOW_TRACKING_PASSWORD"}
    assert said == {
        "prefect": {"PREFECT_SERVER_API_AUTH_STRING"},
        "mlflow": {"MLFLOW_AUTH_ADMIN_PASSWORD"},
        "deploy": client,
        "worker-cpu-1": client,
        "worker-gpu-1": client,
    }


def test_without_passwords_mlflow_asks_nobody(tmp_path):
    made = services(tmp_path, None)
    assert "basic-auth" not in made["mlflow"].command
    assert "PREFECT_SERVER_API_AUTH_STRING" not in made["prefect"].environment


def test_servers_that_the_caller_named_are_forgotten(tmp_path):
    for name, each in services(tmp_path).items():
        assert "PREFECT_API_KEY" not in each.environment
        assert each.environment.get("PREFECT_API_URL") in (None, "http://127.0.0.1:4200/api"), name


def test_mlflow_goes_on_with_the_file_of_local_runs(tmp_path):
    assert services(tmp_path)["mlflow"].environment["MLFLOW_BACKEND_STORE_URI"] == "sqlite:////srv/mlflow.db"


def test_a_cpu_worker_uses_no_gpu(tmp_path):
    made = services(tmp_path)
    assert made["worker-cpu-1"].environment["STAGE1_DEVICE"] == "cpu"
    assert "STAGE1_DEVICE" not in made["worker-gpu-1"].environment


def test_names_of_this_machine_are_the_only_ones_that_mlflow_answers_to(tmp_path):
    assert "MLFLOW_SERVER_ALLOWED_HOSTS" not in services(tmp_path)["mlflow"].environment
    hosts = services(tmp_path, host="0.0.0.0")["mlflow"].environment["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert {"localhost:*", "127.0.0.1:*"} <= set(hosts)
    assert "*" not in hosts


def test_databases_get_their_secrets_from_no_command_line():
    postgres = Postgres(Path("/srv/postgres"), Path("/usr/bin"), None, 5433, PASSWORD)
    redis = RedisServer(Path("/srv/redis"), Path("/usr/bin/redis-server"), None, 6380, PASSWORD)
    assert PASSWORD not in repr([postgres, redis, postgres.service(), redis.service()])
    assert f"requirepass {PASSWORD}\n".encode() in redis.service().standard_input


@pytest.fixture
def nothing_installed(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("deployments.stack.postgres.DEBIAN_PROGRAMS", str(tmp_path))


def test_without_postgresql_auto_is_sqlite_and_says_why(tmp_path, nothing_installed):
    found = open_databases(StackConfig(workspace=tmp_path))
    assert found.services() == ()
    assert found.notes == (
        "SQLite, because: PostgreSQL's program postgres is not installed (on Debian: apt-get install postgresql)",
    )


def test_a_database_that_was_asked_for_is_not_replaced(tmp_path, nothing_installed):
    with pytest.raises(Stage1Error, match="PostgreSQL's program postgres is not installed"):
        open_databases(StackConfig(workspace=tmp_path, database="postgres"))


def test_records_in_a_cluster_are_not_left_behind_for_sqlite(tmp_path, nothing_installed):
    (tmp_path / "postgres" / "data").mkdir(parents=True)
    with pytest.raises(Stage1Error, match="PostgreSQL's program postgres is not installed"):
        open_databases(StackConfig(workspace=tmp_path))
    assert open_databases(StackConfig(workspace=tmp_path, database="sqlite")).services() == ()
