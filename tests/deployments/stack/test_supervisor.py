"""Services that start in order, are watched, and stop in the opposite order; one stack a workspace."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from deployments.stack.service import Job, Service
from deployments.stack.supervisor import Supervisor
from deployments.stack.tenancy import MARK, mark, members, sole_stack, still_running
from stage1_core.errors import Stage1Error

ROOT = Path(__file__).parents[3]
WAITS = "import signal; print('up', flush=True); signal.pause()"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"
HAS_A_CHILD = (
    f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {DEAF!r}], start_new_session=True).wait()"
)


def service(folder: Path, name: str, program: str = WAITS, **fields) -> Service:
    """Ready once it has said something."""
    log = folder / f"{name}.log"
    command = (sys.executable, "-uc", program)
    ready = fields.pop("ready", lambda: log.exists() and "up" in log.read_text())
    return Service(name=name, command=command, environment={"PATH": os.environ["PATH"]}, ready=ready, **fields)


def job(name: str, program: str) -> Job:
    return Job(name=name, command=(sys.executable, "-c", program), environment={"PATH": os.environ["PATH"]}, seconds=30)


def ask_to_stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_steps_start_in_order_and_stop_in_the_opposite_order(tmp_path):
    said: list[str] = []
    steps = [(service(tmp_path, "one"),), job("two", "pass"), (service(tmp_path, "three"),)]
    Supervisor(tmp_path, said.append).run(steps, on_ready=ask_to_stop)
    names = [line.split()[:2] for line in said]
    assert names == [["one", "ready"], ["two", "done"], ["three", "ready"], ["three", "stopped"], ["one", "stopped"]]
    assert members(tmp_path) == []


def test_a_service_that_ends_is_named_with_the_end_of_its_log_and_stops_the_others(tmp_path):
    dying = service(
        tmp_path, "dying", "print('up', flush=True); import time; time.sleep(0.5); raise SystemExit('no more memory')"
    )
    with pytest.raises(Stage1Error, match=r"(?s)dying ended with 1; .*dying\.log:.*no more memory"):
        Supervisor(tmp_path, lambda _: None).run([(service(tmp_path, "well"), dying)], on_ready=lambda: None)
    assert members(tmp_path) == []


def test_a_service_that_never_answers_is_given_up(tmp_path):
    slow = service(tmp_path, "slow", ready=lambda: False, seconds_to_start=0.5)
    with pytest.raises(Stage1Error, match="slow does not answer after"):
        Supervisor(tmp_path, lambda _: None).run([(slow,)], on_ready=lambda: None)
    assert members(tmp_path) == []


def test_a_job_that_fails_stops_what_runs(tmp_path):
    steps = [(service(tmp_path, "one"),), job("work", "raise SystemExit('nothing to deploy')")]
    with pytest.raises(Stage1Error, match=r"(?s)work ended with 1.*nothing to deploy"):
        Supervisor(tmp_path, lambda _: None).run(steps, on_ready=lambda: None)
    assert members(tmp_path) == []


def test_who_does_not_heed_a_request_is_killed(tmp_path):
    deaf = service(tmp_path, "deaf", DEAF, seconds_to_stop=0.3)
    Supervisor(tmp_path, lambda _: None).run([(deaf,)], on_ready=ask_to_stop)
    assert members(tmp_path) == []


def test_services_of_one_step_are_asked_together(tmp_path):
    """Each waits, before it ends, until the other was asked too."""
    program = """
        import pathlib, signal, sys, time
        def leave(*_):
            pathlib.Path({own!r}).touch()
            while not pathlib.Path({other!r}).exists():
                time.sleep(0.01)
            pathlib.Path({own!r}).with_suffix(".left").touch()
            raise SystemExit
        signal.signal(signal.SIGTERM, leave)
        print('up', flush=True)
        while True:
            signal.pause()
    """
    marks = {name: str(tmp_path / f"{name}.asked") for name in ("one", "two")}
    texts = {
        name: textwrap.dedent(program).format(own=marks[name], other=marks[other])
        for name, other in (("one", "two"), ("two", "one"))
    }
    together = tuple(service(tmp_path, name, text, seconds_to_stop=20) for name, text in texts.items())
    Supervisor(tmp_path, lambda _: None).run([together], on_ready=ask_to_stop)
    assert {path.stem for path in tmp_path.glob("*.left")} == {"one", "two"}  # neither waited until it was killed


def test_a_child_in_a_session_of_its_own_does_not_outlive_its_service(tmp_path, monkeypatch):
    monkeypatch.setattr("deployments.stack.tenancy.SECONDS_TO_STOP", 0.5)
    seen: list[int] = []

    def stop() -> None:
        seen.append(len(members(tmp_path, "parent")))
        ask_to_stop()

    Supervisor(tmp_path, lambda _: None).run([(service(tmp_path, "parent", HAS_A_CHILD),)], on_ready=stop)
    assert seen == [2]
    assert members(tmp_path) == []


def test_a_secret_arrives_on_standard_input(tmp_path):
    reader = service(tmp_path, "reader", f"print('up', input(), flush=True); {WAITS}", standard_input=b"the secret\n")
    Supervisor(tmp_path, lambda _: None).run([(reader,)], on_ready=ask_to_stop)
    assert (tmp_path / "reader.log").read_text().startswith("up the secret\n")


def test_the_log_of_the_start_before_is_kept_once(tmp_path):
    for start in range(3):
        told = service(tmp_path, "one", f"print('start {start}'); {WAITS}")
        Supervisor(tmp_path, lambda _: None).run([(told,)], on_ready=ask_to_stop)
    logs = {path.name: path.read_text().split()[1] for path in tmp_path.glob("one.log*")}
    assert logs == {"one.log": "2", "one.log.1": "1"}


def holder(folder: Path) -> subprocess.Popen[str]:
    """Another process that holds ``folder`` and has a service that heeds nothing; it says when both are so."""
    program = f"""
        import os, signal, subprocess, sys
        from pathlib import Path
        from deployments.stack.tenancy import MARK, mark, sole_stack
        folder = Path({str(folder)!r})
        with sole_stack(folder):
            environment = os.environ | {{MARK: mark(folder, "deaf")}}
            child = subprocess.Popen([sys.executable, "-c", {DEAF!r}], env=environment, start_new_session=True,
                                     stdout=subprocess.PIPE)
            child.stdout.readline()
            print("held", flush=True)
            signal.pause()
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    made = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert made.stdout is not None
    assert made.stdout.readline() == "held\n"
    return made


def test_a_workspace_is_held_until_its_process_ends_and_what_that_left_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr("deployments.stack.tenancy.SECONDS_TO_STOP", 0.5)
    folder = tmp_path / "stack"
    with holder(folder) as other:
        with pytest.raises(Stage1Error, match=f"process {other.pid} serves {tmp_path} already"), sole_stack(folder):
            pass
        (left,) = members(folder)
        other.kill()
    assert still_running([left])
    with sole_stack(folder):
        assert not still_running([left])
        assert members(folder) == []


def test_a_workspace_whose_name_begins_alike_is_another(tmp_path):
    environment = {MARK: mark(tmp_path / "stack-two", "one")}
    with subprocess.Popen([sys.executable, "-c", WAITS], env=environment, stdout=subprocess.DEVNULL) as other:
        assert members(tmp_path / "stack") == []
        assert [process.pid for process in members(tmp_path / "stack-two")] == [other.pid]
        psutil.Process(other.pid).kill()
