"""Which services a stack has, in which order, and what each of them is told."""

from __future__ import annotations

import socket
from pathlib import Path
from types import SimpleNamespace

import pytest
from mlflow.server.security_utils import is_allowed_host_header

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


def test_a_name_that_a_proxy_has_for_mlflow_is_answered_beside_those_of_this_machine(tmp_path):
    said = services(tmp_path, public_mlflow_host="mlflow.example.com")["mlflow"].environment
    hosts = said["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    for host in ("mlflow.example.com", "127.0.0.1:5000", "localhost:5000"):
        assert is_allowed_host_header(hosts, host)
    assert not is_allowed_host_header(hosts, "elsewhere.example.com")
    assert "https://mlflow.example.com" in said["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"].split(",")


def test_an_address_of_version_six_is_a_name_of_this_machine(tmp_path, monkeypatch):
    loopback = SimpleNamespace(family=socket.AF_INET6, address="::1")
    monkeypatch.setattr("psutil.net_if_addrs", lambda: {"lo": [loopback]})
    hosts = services(tmp_path, host="0.0.0.0")["mlflow"].environment["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert is_allowed_host_header(hosts, "[::1]:5000")


def test_the_address_that_an_operator_gave_to_the_page_is_left_alone(tmp_path, monkeypatch):
    assert services(tmp_path)["prefect"].environment["PREFECT_SERVER_UI_API_URL"] == "/api"
    monkeypatch.setitem(ENVIRONMENT, "PREFECT_SERVER_UI_API_URL", "/prefect/api")
    assert services(tmp_path)["prefect"].environment["PREFECT_SERVER_UI_API_URL"] == "/prefect/api"


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
    found = open_databases(StackConfig(workspace=tmp_path), tmp_path / "mlflow.db")
    assert found.services() == ()
    assert found.notes == (
        "SQLite, because: PostgreSQL's program postgres is not installed (on Debian: apt-get install postgresql)",
    )


def test_a_database_that_was_asked_for_is_not_replaced(tmp_path, nothing_installed):
    with pytest.raises(Stage1Error, match="PostgreSQL's program postgres is not installed"):
        open_databases(StackConfig(workspace=tmp_path, database="postgres"), tmp_path / "mlflow.db")


def test_records_in_a_cluster_are_not_left_behind_for_sqlite(tmp_path, nothing_installed):
    (tmp_path / "postgres" / "data").mkdir(parents=True)
    with pytest.raises(Stage1Error, match="PostgreSQL's program postgres is not installed"):
        open_databases(StackConfig(workspace=tmp_path), tmp_path / "mlflow.db")
    sqlite = StackConfig(workspace=tmp_path, database="sqlite")
    assert open_databases(sqlite, tmp_path / "mlflow.db").services() == ()


@pytest.fixture
def cluster(monkeypatch) -> Postgres:
    """What a machine with PostgreSQL would use."""
    made = Postgres(Path("/srv/postgres"), Path("/usr/bin"), None, 5433, PASSWORD)
    monkeypatch.setattr("deployments.stack.assembly.open_cluster", lambda workspace: made)
    return made


def test_records_of_local_runs_are_not_left_behind_for_postgresql(tmp_path, cluster):
    records = tmp_path / "mlflow.db"
    assert open_databases(StackConfig(workspace=tmp_path), records).postgres == cluster
    records.touch()
    found = open_databases(StackConfig(workspace=tmp_path), records)
    assert found.postgres is None
    assert found.notes == (f"SQLite, because {records} exists; --database postgres begins without its records",)


def test_postgresql_that_was_asked_for_once_is_used_from_then_on(tmp_path, cluster):
    records = tmp_path / "mlflow.db"
    records.touch()
    assert open_databases(StackConfig(workspace=tmp_path, database="postgres"), records).postgres == cluster
    (tmp_path / "postgres" / "data").mkdir(parents=True)
    assert open_databases(StackConfig(workspace=tmp_path), records).postgres == cluster
