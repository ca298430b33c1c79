"""Runs of deployments, which stand in a folder that is deleted, keep nothing there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.flow_engine import run_flow

from flows._flow import flow
from stage1_core.errors import Stage1Error

STARTED: list[str] = []


@flow("lasting")
def lasting() -> None:
    STARTED.append("lasting")


@pytest.fixture
def as_deployed(workspace) -> Callable[[], State[Any]]:
    """Run the flow as a worker does; the state in which it ends."""
    STARTED.clear()

    def run() -> State[Any]:
        with get_client(sync_client=True) as client:
            deployment = client.create_deployment(client.create_flow(lasting), "lasting")
            flow_run = client.create_flow_run_from_deployment(deployment)
        ended: State[Any] = run_flow(lasting, flow_run, return_type="state")
        return ended

    return run


def test_a_run_of_a_deployment_that_is_told_its_places_runs(as_deployed):
    assert as_deployed().is_completed()
    assert STARTED == ["lasting"]


@pytest.mark.parametrize(
    ("variable", "value"), [("STAGE1_ARTIFACTS", ""), ("STAGE1_ARTIFACTS", "artifacts"), ("MLFLOW_TRACKING_URI", "")]
)
def test_one_that_would_keep_something_in_its_working_directory_fails_first(as_deployed, monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    ended = as_deployed()
    assert ended.is_failed()
    with pytest.raises(Stage1Error, match=f"{variable} is .*export .* where the worker is started"):
        ended.result()
    assert STARTED == []


def test_a_run_that_somebody_starts_by_hand_may_use_the_working_directory(workspace, monkeypatch):
    STARTED.clear()
    monkeypatch.setenv("STAGE1_ARTIFACTS", "artifacts")
    lasting()
    assert STARTED == ["lasting"]
