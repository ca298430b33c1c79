"""Runs whose process has died: set going again, or given up.

A run that goes on starts at the top, finds every finished step in the cache and continues its training from the last
checkpoint. So going on costs little, and any worker of the pool can do it that sees the same workspace.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import StateType
from prefect.logging import get_run_logger
from prefect.states import AwaitingRetry

from stage1_core.config import FrozenModel
from tasks._task import effect
from tasks.events import EventName, emit

MOST_RESUMPTIONS = 3
"""A run that dies a fourth time dies of itself."""

LONGER_EACH_TIME = timedelta(minutes=1)
"""Time for the machine to recover. A worker also reports a death twice, and up to half a minute lies between."""


class Outcome(StrEnum):
    """What becomes of a run."""

    RESUMED = "resumed"
    ABANDONED = "abandoned"
    LEFT_ALONE = "left alone"


class DeadRun(FrozenModel):
    """What decides whether a run is set going again."""

    flow_run_id: UUID
    name: str
    state: str
    """Type of its present state, as the server calls it."""
    deployed: bool
    """Without a deployment no worker can start it: it is a part of another run, or was started by hand."""
    crashes: int
    """How often it has died, this time included."""

    @property
    def outcome(self) -> Outcome:
        """Left alone unless it is dead and has a deployment; abandoned when it died too often."""
        if self.state != StateType.CRASHED.value or not self.deployed:
            return Outcome.LEFT_ALONE
        return Outcome.RESUMED if self.crashes <= MOST_RESUMPTIONS else Outcome.ABANDONED

    @property
    def wait(self) -> timedelta:
        """Time until it is tried again."""
        return self.crashes * LONGER_EACH_TIME

    def in_words(self) -> str:
        """The decision and its reasons in one line."""
        origin = "of a deployment" if self.deployed else "without a deployment"
        return f"{self.name} is {self.outcome}: a run {origin}, {self.state}, {self.crashes} times crashed"


@effect
def resume_or_abandon(flow_run_id: str) -> Outcome:
    """Schedule the run again, or send ``stage1.run.abandoned`` when it has crashed too often."""
    with get_client(sync_client=True) as server:
        run = look_up(server, UUID(flow_run_id))
        get_run_logger().info(run.in_words())
        if run.outcome is Outcome.RESUMED:
            server.set_flow_run_state(run.flow_run_id, AwaitingRetry(scheduled_time=datetime.now(UTC) + run.wait))
    if run.outcome is Outcome.ABANDONED:
        emit(EventName.RUN_ABANDONED, f"prefect.flow-run.{flow_run_id}", flow_run=run.name, crashes=run.crashes)
    return run.outcome


def look_up(server: SyncPrefectClient, flow_run_id: UUID) -> DeadRun:
    """The run as the server knows it."""
    run = server.read_flow_run(flow_run_id)
    states = sorted(server.read_flow_run_states(flow_run_id), key=lambda state: state.timestamp)
    return DeadRun(
        flow_run_id=flow_run_id,
        name=run.name,
        state=run.state_type.value if run.state_type else "UNKNOWN",
        deployed=run.deployment_id is not None,
        crashes=deaths([str(state.name) for state in states]),
    )


def deaths(states: Sequence[str]) -> int:
    """How often a run has died, by the names of its states in order. A report while it waits is of the last death."""
    told_before = ("Crashed", "AwaitingRetry")
    return sum(now == "Crashed" and before not in told_before for before, now in pairwise(["", *states]))
