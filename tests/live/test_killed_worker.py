"""Processes and machines die in the middle of a run, and the run ends as if they had not. Takes five minutes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import psutil
import pytest
from prefect.settings import PREFECT_API_URL

from deployments._prefect_objects import automation_core
from deployments.automations import RESUMABLE, resume, silent_run
from deployments.config import DeployConfig
from deployments.description import OWNED
from flows.baseline import baseline
from flows.resume import resume_crashed
from tasks._device import SLOT_VARIABLE
from tests.integration.toys import draw_pictures, toy_config, toy_training
from tests.live.deploying import (
    automate,
    client,
    continued_after,
    deploy,
    kill_group,
    kill_leader,
    log_of,
    looks,
    make_pool,
    make_slot,
    past_states,
    processes_of,
    released,
    slots_in_use,
    state_of,
    submit,
    until,
    until_final,
)
from tests.live.loading_flow import load_for_ever
from tests.live.servers import ROOT, Running, started, worker

POOL, QUIET_POOL, SLOT = "mortal", "undisturbed", "gpu-of-the-mortal"
EPOCHS = 600
HEARTBEAT_SECONDS = 30
"""The least that Prefect allows; three of them without a sign of life mean death."""
SECONDS_UNHEARD = timedelta(seconds=90)
"""Without anybody resuming a crashed run, which takes some twenty on an idle machine."""


class Site(NamedTuple):
    """Two pools on the live server, the rules that resume what has crashed, and a training long enough to be killed."""

    folder: Path
    mlflow: str
    deployment: UUID
    undisturbed: UUID
    resuming: UUID
    parameters: dict[str, object]

    def until_gone_on(self, run: UUID) -> None:
        """Until the run has completed. Where nobody resumes it, it is resumed as the operator's page says.

        On SQLite Prefect gives an event up that finds the database locked four times, and no rule hears of it.
        """

        def completed() -> bool:
            state = state_of(run)
            if state.is_crashed() and datetime.now(UTC) - state.timestamp > SECONDS_UNHEARD:
                submit(self.resuming, {"flow_run_id": str(run)})
                until(lambda: not state_of(run).is_crashed(), "the run is resumed by hand", seconds=120)
            return state.is_completed()

        until(completed, "the run has gone on and ended")

    def worker(self, name: str, workspace: Path, *, pool: str = POOL) -> Running:
        prefect = PREFECT_API_URL.value()
        return worker(pool, workspace, prefect=prefect, mlflow=self.mlflow, name=name, OMP_NUM_THREADS="1")


@pytest.fixture
def site(tmp_path: Path, mlflow_url: str, on_the_server: None) -> Iterator[Site]:
    for pool in (POOL, QUIET_POOL):
        make_pool(pool)
    heartbeat = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS)}
    slot = {SLOT_VARIABLE: make_slot(SLOT)}
    deployment = deploy(baseline, POOL, tags=[OWNED, RESUMABLE], **heartbeat, **slot)
    name = f"{resume_crashed.name}/{POOL}"
    resuming = deploy(resume_crashed, POOL, tags=[OWNED], **heartbeat)
    rules = (silent_run(DeployConfig(heartbeat_seconds=HEARTBEAT_SECONDS)), resume(name))
    automations = automate(*(automation_core(rule, {name: resuming}, {}) for rule in rules))
    config = toy_config(draw_pictures(tmp_path / "pictures"), training=toy_training(epochs=EPOCHS))
    parameters = {"config": config.model_dump(mode="json")}
    yield Site(tmp_path, mlflow_url, deployment, deploy(baseline, QUIET_POOL), resuming, parameters)
    with client() as api:
        for automation in automations:
            api.delete_automation(automation)


def until_training(workspace: Path) -> None:
    until(lambda: bool(list(workspace.glob("checkpoints/*/epoch-*"))), "the training has begun")


def test_a_run_goes_on_where_it_was_when_its_machine_dies(site):
    workspace, quiet = site.folder / "workspace", site.folder / "quiet"
    first, second = site.worker("first", workspace), site.worker("second", workspace)
    with started(first):
        run = submit(site.deployment, site.parameters)
        until_training(workspace)
        kill_group(run)
        first.kill()
        assert state_of(run).is_running()  # nobody is left who could say otherwise
    with started(site.worker("quiet", quiet, pool=QUIET_POOL)):
        assert until_final(submit(site.undisturbed, site.parameters)).is_completed()
    with started(second):
        until(lambda: "Crashed" in past_states(run), "the silence is noticed", seconds=10 * HEARTBEAT_SECONDS)
        site.until_gone_on(run)
    assert past_states(run).count("Running") == 2
    assert continued_after(workspace)
    assert continued_after(quiet) == []
    assert log_of(run).count("Cached(type=COMPLETED)") >= 2
    (bundle,), (expected,) = released(workspace), released(quiet)
    assert bundle.files.keys() == expected.files.keys()
    differing = {path for path, file in bundle.files.items() if file != expected.files[path]}
    assert differing == {bundle.evidence.splits}  # which says when VAL_TEST was opened
    assert looks(workspace) == looks(quiet) == ["certified", "opened"]


def test_a_run_whose_process_is_killed_gets_its_gpu_again_and_goes_on_where_it_was(site):
    workspace = site.folder / "workspace"
    with started(site.worker("only", workspace)):
        run = submit(site.deployment, site.parameters)
        until_training(workspace)
        kill_leader(run)
        until(lambda: "Crashed" in past_states(run), "the worker reports the crash", seconds=20)
        assert slots_in_use(SLOT) == 1  # of the dead one, until its lease is over
        site.until_gone_on(run)
    assert past_states(run).count("Running") == 2
    assert slots_in_use(SLOT) == 0
    assert continued_after(workspace)
    assert len(released(workspace)) == 1


def test_loading_processes_do_not_hide_that_their_run_is_dead(site):
    workspace = site.folder / "workspace"
    deployment = deploy(load_for_ever, POOL, PYTHONPATH=str(ROOT))
    with started(site.worker("only", workspace)):
        run = submit(deployment, {"images": str(site.folder / "pictures" / "images")})
        until(lambda: len(processes_of(run)) >= 4, "two processes load pictures")
        family = processes_of(run)
        kill_leader(run)
        until(lambda: state_of(run).is_crashed(), "the worker reports the crash", seconds=20)
    assert psutil.wait_procs(family, timeout=20)[1] == []
