"""A flow on a work pool of the live server, its runs, and what the server says of them."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import psutil
from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.sorting import LogSort
from prefect.deployments.runner import EntrypointType
from prefect.events.schemas.automations import AutomationCore
from prefect.states import Cancelling

from deployments.job_templates import process_template
from stage1_core.bundle.manifest import MANIFEST_FILE, BundleManifest
from stage1_core.data.access_log import AccessLog

SECONDS = 600.0
"""A run takes some twenty to start and end, and a minute more when it is resumed; a loaded machine is slower."""


def client() -> SyncPrefectClient:
    """A client of the server that this process talks to."""
    return get_client(sync_client=True)


def make_pool(name: str) -> str:
    """A process pool as `stage1 deploy` makes it, without a GPU; made on first use."""
    pool = WorkPoolCreate(name=name, type="process", base_job_template=process_template({}))
    with client() as api:
        api.create_work_pool(pool, overwrite=True)
    return name


def make_slot(name: str) -> str:
    """A limit that one step at a time can hold, made on first use."""
    with client() as api:
        api.upsert_global_concurrency_limit_by_name(name, 1)
    return name


def slots_in_use(name: str) -> int:
    with client() as api:
        return api.read_global_concurrency_limit_by_name(name).active_slots


def deploy(flow: Flow[Any, Any], pool: str, *, tags: Sequence[str] = (), **job_environment: str) -> UUID:
    """The deployment of ``flow`` on ``pool``, imported from the installed project as in production."""
    deployment = flow.to_deployment(
        pool, entrypoint_type=EntrypointType.MODULE_PATH, tags=list(tags), job_variables={"env": job_environment}
    )
    deployment.work_pool_name = pool
    return cast(UUID, deployment.apply())


def automate(*automations: AutomationCore) -> list[UUID]:
    """What the server shall do by itself. Rules apply to the whole server, so a test removes its own again."""
    with client() as api:
        return [api.create_automation(automation) for automation in automations]


def submit(deployment: UUID, parameters: Mapping[str, Any]) -> UUID:
    """Id of a new run that waits for a worker."""
    with client() as api:
        return api.create_flow_run_from_deployment(deployment, parameters=dict(parameters)).id


def flow_run(run: UUID) -> FlowRun:
    with client() as api:
        return api.read_flow_run(run)


def state_of(run: UUID) -> State[Any]:
    state = flow_run(run).state
    assert state is not None
    return state


def past_states(run: UUID) -> list[str]:
    """Names of all states that the run was in, in order."""
    with client() as api:
        states = api.read_flow_run_states(run)
    return [str(state.name) for state in sorted(states, key=lambda state: state.timestamp)]


def log_of(run: UUID) -> str:
    wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run]))
    with client() as api:
        return "\n".join(line.message for line in api.read_logs(wanted, sort=LogSort.TIMESTAMP_ASC))


def cancel(run: UUID) -> None:
    """As the page does."""
    with client() as api:
        api.set_flow_run_state(run, Cancelling())


def until(reached: Callable[[], bool], what: str, *, seconds: float = SECONDS) -> None:
    """Poll until ``reached``; fails after ``seconds``, saying ``what`` did not happen."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)


def until_final(run: UUID, *, seconds: float = SECONDS) -> State[Any]:
    """The state in which the run ends."""
    until(lambda: state_of(run).is_final(), f"run {run} ends", seconds=seconds)
    return state_of(run)


def processes_of(run: UUID) -> list[psutil.Process]:
    """Every process of the flow run, its leader first. A flow run has a session of its own."""
    leaders = [
        process for process in psutil.process_iter() if _environment(process).get("PREFECT__FLOW_RUN_ID") == str(run)
    ]
    groups = {os.getpgid(process.pid) for process in leaders}
    members = [process for process in psutil.process_iter() if _group(process) in groups]
    return sorted(members, key=lambda process: process.pid not in groups)


def kill_group(run: UUID) -> None:
    """SIGKILL to everything that the flow run has started."""
    (leader, *_) = processes_of(run)
    os.killpg(leader.pid, signal.SIGKILL)


def _environment(process: psutil.Process) -> Mapping[str, str]:
    try:
        return process.environ()
    except psutil.Error:
        return {}


def _group(process: psutil.Process) -> int | None:
    try:
        return os.getpgid(process.pid)
    except ProcessLookupError:
        return None


def kill_leader(run: UUID) -> None:
    """SIGKILL to the flow run's own process alone, as when it needs too much memory."""
    (leader, *_) = processes_of(run)
    leader.kill()


def released(workspace: Path) -> list[BundleManifest]:
    """Each bundle that the runs of a workspace have released, once."""
    manifests = workspace.glob(f"runs/*/bundle/{MANIFEST_FILE}")
    return list({path.resolve(): BundleManifest.from_json_file(path) for path in manifests}.values())


def looks(workspace: Path) -> list[str]:
    """What the only ledger of a workspace records, in order."""
    (log,) = workspace.glob("ledgers/*.jsonl")
    return [entry.event for entry in AccessLog(log).entries()]


def continued_after(workspace: Path) -> list[int]:
    """The epochs behind which trainings of a workspace went on, in order."""
    logs = sorted(workspace.glob("runs/*/logs/stage1.log"))
    return [int(epoch) for log in logs for epoch in re.findall(r"continuing after epoch (\d+)", log.read_text())]
