"""`stage1 stack` on PostgreSQL and Redis. Two starts, about 80 seconds; needs both programs and says so."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import psycopg
import pytest

from deployments.stack.account import account_for
from deployments.stack.postgres import open_cluster
from stage1_core.errors import Stage1Error
from tests.live.stacking import ask, command_lines, listening, open_workspace, stack_in, until, workers_online

ADVICE = "apt-get install postgresql redis-server"


@pytest.fixture(autouse=True)
def programs() -> None:
    """A machine without them fails these tests: SQLite is tested in test_stack.py and proves nothing about these."""
    places = os.pathsep.join([*os.get_exec_path(), *map(str, Path("/usr/lib/postgresql").glob("*/bin"))])
    missing = [name for name in ("postgres", "initdb", "redis-server") if shutil.which(name, path=places) is None]
    if missing:
        pytest.fail(f"found no {', '.join(missing)}; on Debian: {ADVICE}", pytrace=False)


def test_records_lie_in_a_cluster_of_the_workspace_and_survive_a_restart_as_does_what_was_deployed():
    with open_workspace() as workspace, stack_in(workspace) as stack:
        stack.start()
        assert "deploy done after" in stack.text()
        assert ask(f"{stack.prefect}/deployments/count", {}) > 4
        until(lambda: workers_online(stack) == {"cpu", "gpu"}, "both workers are online")
        names = {process.name() for process in stack.members()}
        assert {"postgres", "redis-server"} <= names
        assert listening(stack.members()) == {"127.0.0.1"}
        if os.geteuid() == 0:
            databases = [process for process in stack.members() if process.name() in ("postgres", "redis-server")]
            assert all(process.uids().effective != 0 for process in databases)

        password = workspace / "postgres" / "password"
        assert password.stat().st_mode & 0o077 == 0
        secret = password.read_text()
        server = next(process for process in stack.members() if process.name() == "postgres")
        port = next(word for word in server.cmdline() if word.startswith("port=")).removeprefix("port=")
        address = f"postgresql://stage1:{secret}@127.0.0.1:{port}"
        with psycopg.connect(f"{address}/prefect") as prefect, psycopg.connect(f"{address}/mlflow") as mlflow:
            assert prefect.execute("SELECT count(*) FROM work_pool").fetchone() >= (2,)
            assert mlflow.execute("SELECT count(*) FROM experiments").fetchone() == (1,)
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(f"postgresql://stage1:wrong@127.0.0.1:{port}/prefect")
        assert not (workspace / "mlflow.db").exists()
        assert not list((workspace / "prefect").glob("*.db"))
        assert secret not in command_lines(stack.members())

        flow = ask(f"{stack.prefect}/flows/", {"name": "kept"})["id"]
        (workspace / "mine.yaml").write_text("gpus: 3\n")
        stack.deploy(workspace / "mine.yaml")
        assert stack.terminate() == 0
        assert stack.members() == []

        stack.start()
        assert ask(f"{stack.prefect}/flows/{flow}")["name"] == "kept"
        assert ask(f"{stack.prefect}/v2/concurrency_limits/stage1-gpu")["limit"] == 3
        assert stack.terminate() == 0
        assert secret not in stack.logs()


def test_a_folder_that_no_account_can_reach_is_named_to_root_who_needs_one(tmp_path):
    tmp_path.chmod(0o700)
    if os.geteuid() != 0:
        assert account_for(tmp_path / "workspace") is None
        return
    with pytest.raises(Stage1Error, match="neither of postgres, nobody can reach"):
        open_cluster(tmp_path / "workspace")
