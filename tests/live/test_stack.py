"""`stage1 stack` on SQLite: what it starts, who may ask it, what it leaves. Four starts, some 100 seconds."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import psutil
import pytest

from deployments.stack.tenancy import still_running
from tests.live.stacking import (
    StackProcess,
    ask,
    command_lines,
    ended_with,
    listening,
    open_workspace,
    stack_in,
    taken_port,
    until,
    workers_online,
)

PASSWORD = "correct-horse-battery"
AUTH = f"operator:{PASSWORD}"
PUBLIC = "mlflow.example.com"
"""Name that a proxy would have for MLflow."""
TINY_FLOW = """
from prefect import flow

@flow
def greeting() -> str:
    return "hello"
"""


@pytest.fixture(scope="module")
def stack() -> Iterator[StackProcess]:
    """Running, with passwords."""
    with open_workspace() as workspace:
        (workspace / "modules").mkdir()
        (workspace / "modules" / "tiny_flow.py").write_text(TINY_FLOW)
        words = ("--database", "sqlite", "--no-deploy", "--public-mlflow-host", PUBLIC)
        variables = {"STAGE1_STACK_AUTH": AUTH, "PYTHONPATH": str(workspace / "modules")}
        with stack_in(workspace, *words, **variables) as made:
            made.start()
            yield made


def post(stack: StackProcess, path: str, body: object):
    return ask(f"{stack.prefect}/{path}", body, auth=AUTH)


def test_a_worker_of_each_pool_comes_online(stack):
    until(lambda: workers_online(stack, AUTH) == {"cpu", "gpu"}, "both workers are online")


def test_who_does_not_say_a_password_is_refused_and_health_stays_open(stack):
    experiments = f"{stack.mlflow}/api/2.0/mlflow/experiments/search"
    assert ask(f"{stack.prefect}/flows/count", {}) == 401
    assert ask(experiments, {"max_results": 5}) == 401
    assert ask(experiments, {"max_results": 5}, auth="operator:something-else-entirely") == 401
    assert ask(f"{stack.prefect}/flows/count", {}, auth=AUTH) == 0
    assert ask(experiments, {"max_results": 5}, auth=AUTH)["experiments"]
    assert ask(f"{stack.prefect}/health") is True
    assert ask(f"{stack.mlflow}/health") == "OK"


def test_only_the_loopback_listens_in_the_whole_tree(stack):
    running = [psutil.Process(stack.running.pid), *stack.members()]
    assert len(running) > 4
    assert listening(running) == {"127.0.0.1"}


@pytest.mark.parametrize("pages", ["v2/", ""])
def test_prefects_page_calls_its_server_by_the_name_that_the_browser_used(stack, browser, pages):
    """That of a proxy, for instance, which the server does not know."""
    name = f"http://localhost:{stack.prefect_port}"
    assert ask(f"{name}/ui-settings")["api_url"] == "/api"
    with browser.new_page() as page:
        page.goto(f"{name}/{pages}login")
        page.locator("input").fill(AUTH)
        with page.expect_response(f"{name}/api/flow_runs/**") as answer:
            page.locator("input").press("Enter")
        assert answer.value.ok


def test_mlflow_answers_to_the_name_that_a_proxy_has_and_to_no_other(stack):
    experiments = f"{stack.mlflow}/ajax-api/2.0/mlflow/experiments/search"
    body = {"max_results": 5}
    assert ask(experiments, body, auth=AUTH, Host=PUBLIC, Origin=f"https://{PUBLIC}")["experiments"]
    assert ask(experiments, body, auth=AUTH, Host=PUBLIC, Origin="https://elsewhere.example.com") == 403
    assert ask(experiments, body, auth=AUTH, Host="elsewhere.example.com") == 403


def test_it_prints_how_another_terminal_finds_the_servers(stack):
    assert f"export PREFECT_API_URL={stack.prefect}\n" in stack.text()
    assert f"export MLFLOW_TRACKING_URI={stack.mlflow}\n" in stack.text()
    assert 'export PREFECT_API_AUTH_STRING="$STAGE1_STACK_AUTH"\n' in stack.text()


def test_a_second_stack_on_the_workspace_is_refused(stack):
    said = stack.refused()
    assert f"process {stack.running.pid} serves {stack.workspace} already" in said


def test_records_survive_and_nothing_keeps_running(stack):
    """A run through the cpu worker; SIGTERM; a supervisor that is killed; a start at once; a worker that dies."""
    until(lambda: "cpu" in workers_online(stack, AUTH), "the pool that a run needs is there")
    flow = post(stack, "flows/", {"name": "greeting"})["id"]
    body = {"name": "tiny", "flow_id": flow, "work_pool_name": "cpu", "entrypoint": "tiny_flow:greeting"}
    deployment = post(stack, "deployments/", body)["id"]
    run = post(stack, f"deployments/{deployment}/create_flow_run", {"state": {"type": "SCHEDULED"}})["id"]

    def state() -> str:
        return ask(f"{stack.prefect}/flow_runs/{run}", auth=AUTH)["state_type"]

    until(lambda: state() in ("COMPLETED", "FAILED", "CRASHED"), "the run ends")
    assert state() == "COMPLETED", stack.logs()[-4000:]
    ask(f"{stack.mlflow}/api/2.0/mlflow/experiments/create", {"name": "kept"}, auth=AUTH)
    started = [psutil.Process(stack.running.pid), *stack.members()]
    assert PASSWORD not in command_lines(started)

    assert stack.terminate() == 0
    assert still_running(started) == []
    said = stack.text()
    servers = min(said.index("mlflow stopped"), said.index("prefect stopped"))
    assert said.index("worker-cpu-1 stopped") < servers  # so that runs can still report

    killed = stack.start()
    left = stack.members()
    os.kill(killed.pid, signal.SIGKILL)
    ended_with(killed)

    stack.start()
    assert still_running(left) == []
    assert state() == "COMPLETED"
    by_name = f"{stack.mlflow}/api/2.0/mlflow/experiments/get-by-name?experiment_name=kept"
    assert ask(by_name, auth=AUTH)["experiment"]["name"] == "kept"

    until(lambda: "started!" in (stack.folder / "worker-gpu-1.log").read_text(), "the worker has something to say")
    (worker, *_) = [process for process in stack.members() if "gpu" in process.cmdline()]
    worker.kill()
    assert ended_with(stack.running) == 2
    assert (
        f"worker-gpu-1 ended with -9; correct what its log says, {stack.folder / 'worker-gpu-1.log'}:" in stack.text()
    )
    assert "started!" in stack.text().rpartition("worker-gpu-1 ended with")[2]
    assert stack.members() == []
    assert PASSWORD not in stack.logs()


def test_pages_show_the_same_records_without_workers(stack):
    if stack.alive:
        stack.terminate()
    pages = StackProcess(stack.workspace, command="pages")
    try:
        pages.start()
        assert ask(f"{pages.prefect}/work_pools/filter", {})
        assert not [process for process in pages.members() if "worker" in process.cmdline()]
        assert pages.terminate() == 0
        assert pages.members() == []
    finally:
        pages.close()


def test_a_taken_port_is_one_line_before_anything_starts():
    with open_workspace() as workspace, stack_in(workspace, "--database", "sqlite") as stack, taken_port() as listener:
        stack.mlflow_port = listener.getsockname()[1]
        said = stack.refused()
        assert (
            said
            == f"stage1: port {stack.mlflow_port} of 127.0.0.1: Address already in use; choose another --mlflow-port\n"
        )
        assert list(stack.folder.glob("*.log")) == []


def test_other_machines_are_let_in_only_with_passwords():
    with open_workspace() as workspace, stack_in(workspace, "--host", "0.0.0.0") as stack:
        said = stack.refused()
        assert "--host 0.0.0.0 opens both servers to other machines; set STAGE1_STACK_AUTH=user:password first" in said
        assert not stack.folder.exists()
