"""A promotion that waits for a person: the run is suspended, answered through the server, and begins anew.

Takes about 100 seconds on two idle cores: one release, and seven processes of suspended runs.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.deployments.runner import EntrypointType
from prefect.exceptions import NotPausedError
from prefect.flow_runs import resume_flow_run
from prefect.states import Scheduled

from flows.release import promotion
from stage1_core.errors import PromotionRefused
from stage1_core.promotion.config import HumanApproval, PromotionConfig, PromotionRequest
from stage1_core.promotion.intent import Aliases
from tasks.registry_aliases import aliases_of
from tests.live.releases import release_toys, workplace

MODEL = "approved"
SECONDS = 120.0
ANSWER = {"decision": "approve", "approver": "A. Tester", "reason": "all numbers are fine"}


@pytest.fixture(scope="module")
def environment(
    tmp_path_factory: pytest.TempPathFactory, prefect_url: str, mlflow_url: str
) -> Iterator[dict[str, str]]:
    with workplace(tmp_path_factory.mktemp("approval") / "workspace", prefect_url, mlflow_url) as variables:
        yield variables


@pytest.fixture(scope="module")
def deployment(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> UUID:
    """The flow as deployed, and one candidate without a champion."""
    release_toys(tmp_path_factory.mktemp("toys") / "pictures", MODEL, seeds=1)
    made = promotion.to_deployment("promotion", entrypoint_type=EntrypointType.MODULE_PATH).apply()
    assert isinstance(made, UUID)
    return made


@pytest.fixture(scope="module")
def execute(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Callable[[UUID], State[Any]]:
    """Run what a worker would run for this flow run, to the end of its process."""
    empty = tmp_path_factory.mktemp("empty")  # Prefect copies the folder that it stands in

    def once(run: UUID) -> State[Any]:
        command = [sys.executable, "-m", "prefect", "flow-run", "execute", str(run)]
        subprocess.run(command, env=environment, cwd=empty, check=True, capture_output=True, timeout=300)
        return state_of(run)

    return once


def request(approval: HumanApproval) -> PromotionRequest:
    return PromotionRequest(model=MODEL, config=PromotionConfig(approval=approval))


def submit(deployment: UUID, approval: HumanApproval) -> UUID:
    parameters = {"request": request(approval).model_dump(mode="json")}
    with get_client(sync_client=True) as server:
        return server.create_flow_run_from_deployment(deployment, parameters=parameters).id


def state_of(run: UUID) -> State[Any]:
    with get_client(sync_client=True) as server:
        state = server.read_flow_run(run).state
    assert state is not None
    return state


def form_of(run: UUID) -> tuple[str, dict[str, Any]]:
    """What the page shows a person: the text and the schema of the form."""
    with get_client(sync_client=True) as server:
        found = server.read_flow_run_input(run, "suspended-approval-description")
        schema = server.read_flow_run_input(run, "suspended-approval-schema")
    return json.loads(found), json.loads(schema)


def code_in(text: str) -> str:
    return text.split("Code of this evidence: `")[1][:12]


@pytest.fixture(scope="module")
def suspended(deployment: UUID, execute: Callable[[UUID], State[Any]]) -> UUID:
    """A run that waits for an answer."""
    run = submit(deployment, HumanApproval())
    assert execute(run).name == "Suspended"
    return run


def test_the_dialog_shows_the_evidence_and_asks_with_constraints(suspended: UUID):
    text, schema = form_of(suspended)
    assert text.startswith(f"**Promote {MODEL} version 1 (")
    assert "| baseline | certified fnr_on_exited | PASS |" in text
    fields = schema["properties"]
    assert fields["decision"]["enum"] == ["approve", "refuse"]
    assert (fields["approver"]["minLength"], fields["reason"]["minLength"]) == (2, 10)
    assert set(schema["required"]) == {"decision", "approver", "reason", "code"}
    assert aliases_of(MODEL) == Aliases(candidate="1")


def test_the_server_takes_no_answer_without_a_reason(suspended: UUID):
    answer = {**ANSWER, "reason": "fine", "code": code_in(form_of(suspended)[0])}
    with pytest.raises(RuntimeError, match="reason"):
        resume_flow_run(suspended, run_input=answer)
    assert state_of(suspended).name == "Suspended"


def test_an_answer_about_other_evidence_is_refused(deployment, execute):
    run = submit(deployment, HumanApproval())
    execute(run)
    resume_flow_run(run, run_input={**ANSWER, "code": "0" * 12})
    state = execute(run)
    assert (state.name, "evidence has changed" in (state.message or "")) == ("Refused", True)
    assert aliases_of(MODEL) == Aliases(candidate="1")


def test_without_an_answer_in_time_the_run_fails_and_nothing_is_promoted(deployment, execute):
    run = submit(deployment, HumanApproval(timeout_hours=1 / 3600))
    execute(run)
    deadline = time.monotonic() + SECONDS
    while not state_of(run).is_final() and time.monotonic() < deadline:
        time.sleep(0.5)
    state = state_of(run)
    assert (state.name, state.message) == ("Failed", "The flow was paused and never resumed.")
    with pytest.raises(NotPausedError):
        resume_flow_run(run, run_input={**ANSWER, "code": "0" * 12})
    with get_client(sync_client=True) as server:  # what "Retry" in the page does
        server.set_flow_run_state(run, Scheduled(name="AwaitingRetry"), force=True)
    state = execute(run)
    assert (state.name, "continued without an answer" in (state.message or "")) == ("Refused", True)
    assert aliases_of(MODEL) == Aliases(candidate="1")


def test_a_run_that_nobody_can_answer_is_refused(deployment):
    with pytest.raises(PromotionRefused, match="stage1 promote"):
        promotion(request(HumanApproval()))
    assert aliases_of(MODEL) == Aliases(candidate="1")


def test_the_approved_evidence_is_found_again_and_the_candidate_promoted(suspended, execute):
    resume_flow_run(suspended, run_input={**ANSWER, "code": code_in(form_of(suspended)[0])})
    assert execute(suspended).name == "Completed"
    assert aliases_of(MODEL) == Aliases(champion="1")
