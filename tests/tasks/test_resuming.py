"""Which dead runs go on."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import prefect
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.states import Completed, Crashed, Running, Scheduled

from flows.resume import resume_crashed
from tasks.resuming import MOST_RESUMPTIONS, Outcome


@prefect.flow
def victim() -> None:
    """Its runs are only ever said to be in a state."""


@pytest.fixture
def server(workspace) -> SyncPrefectClient:
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def deployed_run(server) -> UUID:
    deployment = server.create_deployment(server.create_flow(victim), "victim")
    return server.create_flow_run_from_deployment(deployment).id


def crash(server: SyncPrefectClient, run: UUID, times: int) -> None:
    for _ in range(times):
        server.set_flow_run_state(run, Running(), force=True)
        server.set_flow_run_state(run, Crashed(message="killed"))


def seconds_to_wait(server: SyncPrefectClient, run: UUID) -> float:
    """Asks for the run's resumption, and says for when it is scheduled."""
    before = datetime.now(UTC)
    assert resume_crashed(str(run)) is Outcome.RESUMED
    state = server.read_flow_run(run).state
    assert (state.type.value, state.name) == ("SCHEDULED", "AwaitingRetry")
    return (state.state_details.scheduled_time - before).total_seconds()


def test_a_crashed_run_of_a_deployment_is_scheduled_again_and_each_time_waits_longer(server, deployed_run):
    crash(server, deployed_run, 1)
    assert 60 <= seconds_to_wait(server, deployed_run) < 90
    crash(server, deployed_run, 1)
    assert 120 <= seconds_to_wait(server, deployed_run) < 150


def test_a_death_that_is_reported_twice_counts_once(server, deployed_run):
    crash(server, deployed_run, 1)
    assert 60 <= seconds_to_wait(server, deployed_run) < 90
    server.set_flow_run_state(deployed_run, Crashed(message="as I said"))
    assert 60 <= seconds_to_wait(server, deployed_run) < 90


def test_a_run_that_crashed_too_often_is_given_up(server, deployed_run):
    crash(server, deployed_run, MOST_RESUMPTIONS)
    assert resume_crashed(str(deployed_run)) is Outcome.RESUMED
    crash(server, deployed_run, 1)
    assert resume_crashed(str(deployed_run)) is Outcome.ABANDONED
    assert server.read_flow_run(deployed_run).state.is_crashed()


def test_a_run_that_goes_on_already_is_left_alone(server, deployed_run):
    crash(server, deployed_run, 1)
    server.set_flow_run_state(deployed_run, Scheduled(), force=True)
    assert resume_crashed(str(deployed_run)) is Outcome.LEFT_ALONE


def test_a_run_without_a_deployment_is_left_alone(server):
    run = server.create_flow_run(victim).id
    crash(server, run, 1)
    assert resume_crashed(str(run)) is Outcome.LEFT_ALONE
    assert server.read_flow_run(run).state.is_crashed()


def test_a_finished_run_is_left_alone(server, deployed_run):
    server.set_flow_run_state(deployed_run, Completed(), force=True)
    assert resume_crashed(str(deployed_run)) is Outcome.LEFT_ALONE
