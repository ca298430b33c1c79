"""`deployments.apply` against a real server of its own: what is there afterwards, and what the server does with it.

Some two minutes on two cores that have nothing else to do.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId, FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.events import emit_event
from prefect.events.schemas.automations import AutomationCore
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Crashed, Failed, Pending, Running

from deployments.apply import apply
from deployments.config import DeployConfig
from deployments.description import Plan, Schedule
from deployments.plan import plan
from deployments.pools import GPU_SLOT
from deployments.recipes import ladder_demo
from stage1_core.errors import Stage1Error
from tasks.events import EventName, emit, model_resource, phase_resource
from tests.conftest import give_up_undelivered_events
from tests.live.servers import clean_environment, free_port, prefect_server, started

SECONDS = 90.0
SILENT_SECONDS = 10.0
"""The shortest silence that the server can notice."""


@pytest.fixture(scope="module")
def heard() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Address of a listener, and the JSON bodies that it was sent."""
    bodies: list[dict[str, Any]] = []

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Listener) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hook", bodies
        server.shutdown()


@pytest.fixture(scope="module")
def wanted(heard) -> Plan:
    """Everything there is, with a rule about silence that a test can wait for."""
    described = plan(DeployConfig(), ladder_demo(), webhook_url=heard[0])
    impatient = [
        rule.model_copy(update={"trigger": rule.trigger.model_copy(update={"seconds": SILENT_SECONDS})})
        if rule.trigger.kind == "silent"
        else rule
        for rule in described.automations
    ]
    return described.model_copy(update={"automations": tuple(impatient)})


@pytest.fixture(scope="module")
def first(wanted, tmp_path_factory) -> Iterator[list[Any]]:
    """What the first `apply` on an empty server did; this process talks to that server."""
    quick = {"AFTER_SECONDS": "1", "LOOP_SECONDS": "1"}
    late = {f"PREFECT_SERVER_SERVICES_LATE_RUNS_{name}": value for name, value in quick.items()}
    server = prefect_server(tmp_path_factory.mktemp("deployed"), **late)
    give_up_undelivered_events(seconds=30)  # whoever sent the first event of this process chose where all others go
    with started(server), temporary_settings(updates={PREFECT_API_URL: server.url}):
        assert {change.outcome for change in apply(wanted, dry_run=True)} == {"created"}
        yield apply(wanted)


def ask(question: Callable[[Any], Any]) -> Any:
    """The answer of the server to a coroutine function of its client."""

    async def asked() -> Any:
        async with get_client() as client:
            return await question(client)

    return asyncio.run(asked())


def until(found: Callable[[], Any], what: str, *, seconds: float = SECONDS) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.2)
    return value


def deployment(name: str) -> Any:
    return ask(lambda client: client.read_deployment_by_name(f"{name}/{name}"))


def start(name: str, *, queue: str | None = None, **parameters: Any) -> FlowRun:
    """A run that waits for a worker."""
    id_ = deployment(name).id
    return ask(lambda client: client.create_flow_run_from_deployment(id_, parameters=parameters, work_queue_name=queue))


def set_state(run: FlowRun, state: Any) -> Any:
    return ask(lambda client: client.set_flow_run_state(run.id, state, force=True))


def runs_of(name: str) -> list[FlowRun]:
    only = DeploymentFilter(id=DeploymentFilterId(any_=[deployment(name).id]))
    return ask(lambda client: client.read_flow_runs(deployment_filter=only, sort=FlowRunSort.EXPECTED_START_TIME_ASC))


def replaced(wanted: Plan, part: str, name: str, **changes: Any) -> Plan:
    """``wanted`` with the one of its objects that is called ``name`` changed."""
    objects = [one.model_copy(update=changes) if one.name == name else one for one in getattr(wanted, part)]
    return wanted.model_copy(update={part: tuple(objects)})


def at_four(wanted: Plan) -> tuple[Schedule, ...]:
    """The retraining's schedule with another time."""
    (retrain,) = (one for one in wanted.deployments if one.name == "retrain")
    return (retrain.schedules[0].model_copy(update={"cron": "0 4 * * 2"}),)


def pending(changes: list[Any]) -> dict[tuple[str, str], tuple[str, ...]]:
    return {(change.kind, change.name): change.what for change in changes if change.outcome != "unchanged"}


class TestApplying:
    def test_an_empty_server_gets_everything(self, first, wanted):
        assert {change.outcome for change in first} == {"created"}
        kinds = [change.kind for change in first]
        assert kinds.count("deployment") == len(wanted.deployments)
        assert kinds.count("automation") == len(wanted.automations)

    def test_the_second_time_nothing_is_done(self, first, wanted):
        assert {change.outcome for change in apply(wanted)} == {"unchanged"}

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            (
                lambda plan: replaced(plan, "limits", GPU_SLOT, limit=4),
                {("limit", GPU_SLOT): ("limit",)},
            ),
            (
                lambda plan: replaced(plan, "pools", "cpu", description="Everything small."),
                {("pool", "cpu"): ("description",)},
            ),
            (
                lambda plan: replaced(plan, "deployments", "baseline", description="Another one."),
                {("deployment", "baseline/baseline"): ("description",)},
            ),
            (
                lambda plan: replaced(plan, "deployments", "retrain", schedules=at_four(plan)),
                {("deployment", "retrain/retrain"): ("schedule retraining",)},
            ),
            (
                lambda plan: replaced(plan, "deployments", "retrain", concurrency=None),
                {("deployment", "retrain/retrain"): ("concurrency_limit", "concurrency_options")},
            ),
            (
                lambda plan: replaced(plan, "automations", "stage1: resume a crashed run", description="Otherwise."),
                {("automation", "stage1: resume a crashed run"): ("description",)},
            ),
            (
                lambda plan: plan.model_copy(update={"webhook": plan.webhook.model_copy(update={"url":
                    type(plan.webhook.url)("http://127.0.0.1:9/elsewhere")})}),
                {("webhook", "stage1-notifications"): ("url",)},
            ),
        ],
        ids=["limit", "pool", "description", "cron", "concurrency", "automation", "webhook"],
    )  # fmt: skip
    def test_one_change_is_the_only_update(self, first, wanted, change, named):
        changed = change(wanted)
        assert pending(apply(changed, dry_run=True)) == named
        assert pending(apply(changed)) == named, "the dry run wrote something"
        assert pending(apply(wanted)) == named, "the change was not written"

    def test_what_is_not_described_any_more_is_named_and_removed_only_when_asked(self, first, wanted):
        foreign = AutomationCore.model_validate(
            {"name": "somebody's", "trigger": {"type": "event", "posture": "Reactive", "expect": ["x"]},
             "actions": [{"type": "do-nothing"}]}
        )  # fmt: skip
        ask(lambda client: client.create_automation(foreign))
        gate = deployment("gate")
        ask(lambda client: client.create_deployment(gate.flow_id, "somebody's", tags=gate.tags))
        names = ("stage1: retrain on drift",)
        fewer = wanted.model_copy(
            update={
                "deployments": tuple(item for item in wanted.deployments if item.name != "repair"),
                "automations": tuple(item for item in wanted.automations if item.name not in names),
            }
        )
        left = {(change.kind, change.name) for change in apply(fewer) if change.outcome == "stale"}
        assert left == {("deployment", "repair/repair"), ("automation", "stage1: retrain on drift")}
        removed = {(change.kind, change.name) for change in apply(fewer, prune=True) if change.outcome == "removed"}
        assert removed == left
        assert {change.outcome for change in apply(fewer)} == {"unchanged"}
        there = ask(lambda client: client.read_automations())
        assert "somebody's" in {automation.name for automation in there}
        assert ask(lambda client: client.read_deployment_by_name("gate/somebody's")).tags == gate.tags
        assert {change.name for change in apply(wanted) if change.outcome == "created"} == {name for _, name in left}

    def test_a_pool_of_another_type_is_an_error_that_says_what_to_do(self, first, wanted):
        with pytest.raises(Stage1Error, match=r"cannot change its type to 'docker'.*prefect work-pool delete cpu"):
            apply(replaced(wanted, "pools", "cpu", type="docker"))

    def test_a_server_that_does_not_answer_is_an_error(self, wanted):
        nobody = f"http://127.0.0.1:{free_port()}/api"
        with temporary_settings(updates={PREFECT_API_URL: nobody}), pytest.raises(Stage1Error, match=nobody):
            apply(wanted)


class TestForms:
    def test_the_server_holds_unions_bounds_and_descriptions(self, first, wanted):
        (gate,) = (item for item in wanted.deployments if item.name == "gate")
        schema = deployment("gate").parameter_openapi_schema
        assert schema == gate.parameter_schema
        definitions = schema["definitions"]
        calibrator = definitions["GatePolicyConfig"]["properties"]["calibrator"]
        assert calibrator["discriminator"]["propertyName"] == "kind"
        assert len(calibrator["oneOf"]) > 1
        constraint = definitions["RiskConstraint"]["properties"]["max_risk"]
        assert constraint["exclusiveMinimum"] == 0
        assert constraint["description"]

    def test_a_bad_parameter_is_refused_before_there_is_a_run(self, first):
        good = deployment("baseline")
        before = len(runs_of("baseline"))
        bad = good.parameters | {"config": good.parameters["config"] | {"constraint": {"max_risk": 7}}}
        with pytest.raises(httpx.HTTPStatusError, match=r"409|422"):
            ask(lambda client: client.create_flow_run_from_deployment(good.id, parameters=bad))
        assert len(runs_of("baseline")) == before


class TestBySchedule:
    def test_retraining_is_scheduled_for_monday_at_three(self, first):
        def planned() -> list[FlowRun]:
            return [run for run in runs_of("retrain") if run.auto_scheduled]

        runs = until(planned, "the scheduler plans the retraining")
        times = [run.expected_start_time for run in runs]
        assert {(when.isoweekday(), when.hour, when.minute) for when in times} == {(1, 3, 0)}
        assert datetime.now(UTC) < min(times) <= datetime.now(UTC) + timedelta(days=7)
        assert all(run.state_name == "Scheduled" for run in runs)

    def test_a_second_retraining_is_handed_out_and_cancelled(self, first):
        one, two = start("retrain"), start("retrain")

        def handed_out() -> bool:
            given = ask(lambda client: client.get_scheduled_flow_runs_for_work_pool("gpu", scheduled_before=soon()))
            return {one.id, two.id} <= {item.flow_run.id for item in given}

        until(handed_out, "the pool hands out both runs")
        states = [ask(lambda client, run=run: client.set_flow_run_state(run.id, Pending())) for run in (one, two)]
        assert [answer.state.name for answer in states] == ["Pending", "Cancelled"]
        set_state(one, Failed())


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=5)


class TestByEvents:
    def test_drift_starts_the_retraining(self, first, wanted):
        before = {run.id for run in runs_of("retrain")}
        emit_as_a_monitor_does(EventName.DRIFT_DETECTED, model_resource("toy"), psi=0.4)

        def started_by_drift() -> list[FlowRun]:
            return [run for run in runs_of("retrain") if run.id not in before and not run.auto_scheduled]

        (run,) = until(started_by_drift, "drift starts a retraining")
        assert run.created_by.type == "AUTOMATION"
        (described,) = (item for item in wanted.deployments if item.name == "retrain")
        assert run.parameters == described.parameters

    def test_a_failed_run_is_told(self, first, heard):
        run = start("gate")
        set_state(run, Failed(message='the disk is "full"'))
        body = until(lambda: about(run.id, heard[1]), "the failure reaches the listener")
        assert body["event"] == "prefect.flow-run.Failed"
        assert 'of gate is Failed. the disk is "full"' in body["text"]

    def test_a_crashed_run_is_told_and_resumed(self, first, heard):
        run = start("ladder")
        set_state(run, Crashed(message="gone"))
        assert until(lambda: about(run.id, heard[1]), "the crash reaches the listener")

        def resuming() -> list[FlowRun]:
            return [other for other in runs_of("resume_crashed") if other.parameters["flow_run_id"] == str(run.id)]

        (resumed,) = until(resuming, "the crashed run is resumed")
        assert resumed.created_by.type == "AUTOMATION"

    def test_a_run_that_nobody_takes_is_told(self, first, heard):
        run = start("monitor")
        body = until(lambda: about(run.id, heard[1]), "the late run reaches the listener")
        assert body["event"] == "prefect.flow-run.Late"

    def test_a_verdict_is_told(self, first, heard):
        emit(EventName.PHASE_REJECTED, phase_resource("gate"), verdict="FAIL")

        def told() -> dict[str, Any] | None:
            return next((body for body in heard[1] if body["event"] == EventName.PHASE_REJECTED), None)

        body = until(told, "the verdict reaches the listener")
        assert body["payload"] == {"verdict": "FAIL"}
        assert "stage1.phase.gate" in body["text"]

    def test_a_run_that_fell_silent_has_crashed_and_one_that_ended_has_not(self, first):
        silent, ended = start("baseline"), start("baseline")
        for run in (silent, ended):
            set_state(run, Running())
            emit_event(
                "prefect.flow-run.heartbeat",
                resource={"prefect.resource.id": f"prefect.flow-run.{run.id}"},
                related=[{"prefect.resource.id": "prefect.tag.stage1", "prefect.resource.role": "tag"}],
            )
        set_state(ended, Failed(name="Rejected"))  # phases end in states with names of their own
        until(lambda: states([silent.id]) == ["Crashed"], "the silent run is marked as crashed")
        assert states([ended.id]) == ["Rejected"]


def emit_as_a_monitor_does(name: EventName, resource: str, **payload: float) -> None:
    """From a shell, knowing nothing of this project but the names."""
    words = ["event", "emit", name.value, "--resource-id", resource, "--payload", json.dumps(payload)]
    environment = clean_environment(PREFECT_API_URL=PREFECT_API_URL.value())
    subprocess.run([sys.executable, "-m", "prefect", *words], env=environment, check=True, timeout=150)


def about(run: UUID, bodies: list[dict[str, Any]]) -> dict[str, Any] | None:
    return next((body for body in bodies if body.get("flow_run") == str(run)), None)


def states(runs: list[UUID]) -> list[str]:
    these = FlowRunFilter(id=FlowRunFilterId(any_=runs))
    return [run.state_name for run in ask(lambda client: client.read_flow_runs(flow_run_filter=these))]


def test_a_worker_in_another_folder_runs_a_deployment(first, tmp_path):
    """The package is installed where workers are: neither a checkout nor a working directory is asked for."""
    left_alone = start("gate")
    set_state(left_alone, Failed())
    run = start("resume_crashed", queue="urgent", flow_run_id=str(left_alone.id))
    (tmp_path / "elsewhere").mkdir()
    environment = clean_environment(
        PREFECT_API_URL=PREFECT_API_URL.value(),
        PREFECT_HOME=str(tmp_path / "home"),
        STAGE1_ARTIFACTS=str(tmp_path / "workspace"),
        MLFLOW_TRACKING_URI="http://nobody.invalid",  # no step of this run asks it
    )
    worker = [sys.executable, "-m", "prefect", "worker", "start", "--type", "process", "--run-once"]
    command = [*worker, "--pool", "cpu", "--work-queue", "urgent"]  # where no other test's run waits
    made = subprocess.run(
        command, env=environment, cwd=tmp_path / "elsewhere", capture_output=True, text=True, timeout=150, check=False
    )
    assert states([run.id]) == ["Completed"], made.stdout + made.stderr
    assert not list((tmp_path / "elsewhere").iterdir())
