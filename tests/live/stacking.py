"""`stage1 stack` as an operator runs it, in a workspace of a test's own."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from deployments.stack.tenancy import members
from tests.live.servers import Running, free_port

SECONDS = 180.0
"""A start takes ten to twenty on two cores; a loaded machine is slower."""


@contextmanager
def open_workspace() -> Iterator[Path]:
    """A folder that PostgreSQL's account can reach too, which pytest's own are not where root runs the tests."""
    folder = Path(tempfile.mkdtemp(prefix="stage1-stack-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@dataclass
class StackProcess:
    """One workspace, whose stack may be started and stopped many times."""

    workspace: Path
    words: tuple[str, ...] = ()
    command: str = "stack"
    variables: dict[str, str] = field(default_factory=dict)
    prefect_port: int = field(default_factory=free_port)
    mlflow_port: int = field(default_factory=free_port)
    running: Running | None = None

    @property
    def folder(self) -> Path:
        return self.workspace / "stack"

    def begin(self, *words: str) -> Running:
        """Start the command and return at once."""
        ports = ("--prefect-port", str(self.prefect_port), "--mlflow-port", str(self.mlflow_port))
        return self._terminal(self.command, *ports, *self.words, *words)

    def deploy(self, config: Path) -> None:
        """`stage1 deploy --config` in another terminal."""
        running = self._terminal("deploy", "--config", str(config), PREFECT_API_URL=self.prefect)
        until(lambda: not running.alive, "the deployments are applied")
        assert ended_with(running) == 0, running.text()

    def _terminal(self, *words: str, **variables: str) -> Running:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT", "MLFLOW"))}
        command = [sys.executable, "-c", "from stage1_cli.app import main; main()", *words]
        log = self.workspace / f"terminal-{len(list(self.workspace.glob('terminal-*')))}.txt"
        environment = kept | {"STAGE1_ARTIFACTS": str(self.workspace), "PYTHONUNBUFFERED": "1"} | self.variables
        return Running(command, environment | variables, log).start()

    def start(self) -> Running:
        """Start it and wait until it says that it is complete."""
        self.running = self.begin()
        until(lambda: "Ctrl-C stops everything" in self.text() or not self.alive, "the stack is complete")
        assert self.alive, self.text()
        return self.running

    def refused(self, *words: str) -> str:
        """What a start says that ends with code 2."""
        running = self.begin(*words)
        assert ended_with(running) == 2, running.text()
        return running.text()

    @property
    def alive(self) -> bool:
        return self.running is not None and self.running.alive

    def text(self) -> str:
        return self.running.text() if self.running else ""

    def terminate(self) -> int:
        """SIGTERM; its exit code."""
        assert self.running is not None
        psutil.Process(self.running.pid).terminate()
        return ended_with(self.running)

    def members(self) -> list[psutil.Process]:
        return members(self.folder)

    def close(self) -> None:
        """Whatever a failed test has left."""
        if self.alive:
            self.terminate()
        for process in self.members():
            process.kill()

    @property
    def prefect(self) -> str:
        return f"http://127.0.0.1:{self.prefect_port}/api"

    @property
    def mlflow(self) -> str:
        return f"http://127.0.0.1:{self.mlflow_port}"

    def logs(self) -> str:
        """Everything that any process has written."""
        files = [*self.folder.glob("*.log*"), *self.workspace.glob("terminal-*")]
        return "\n".join(path.read_text(errors="replace") for path in files)


@contextmanager
def stack_in(workspace: Path, *words: str, **variables: str) -> Iterator[StackProcess]:
    """A stack that is not started yet and that is gone afterwards."""
    stack = StackProcess(workspace, words, variables=variables)
    try:
        yield stack
    finally:
        stack.close()


def until(reached: Any, what: str, *, seconds: float = SECONDS) -> None:
    """Poll until ``reached`` holds; fails with ``what`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)


def ended_with(running: Running) -> int:
    """Exit code, once it has ended."""
    until(lambda: not running.alive, "the command ends", seconds=90)
    assert running._process is not None
    return int(running._process.returncode)


def ask(url: str, body: object = None, *, auth: str = "", **headers: str) -> Any:
    """The JSON, or text, that ``url`` answers; the status where it refuses."""
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), headers)
    request.add_header("Content-Type", "application/json")
    if auth:
        request.add_header("Authorization", "Basic " + base64.b64encode(auth.encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            text = answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    try:
        return json.loads(text)
    except ValueError:
        return text


def workers_online(stack: StackProcess, auth: str = "") -> set[str]:
    """Pools that have a worker which reports to the server."""
    found = set()
    for pool in ("cpu", "gpu"):
        listed = ask(f"{stack.prefect}/work_pools/{pool}/workers/filter", {}, auth=auth)
        if isinstance(listed, list) and any(worker["status"] == "ONLINE" for worker in listed):
            found.add(pool)
    return found


def listening(processes: list[psutil.Process]) -> set[str]:
    """Addresses that any of the processes accepts connections on."""
    sockets = [entry for process in processes for entry in process.net_connections("inet")]
    return {entry.laddr.ip for entry in sockets if entry.status == psutil.CONN_LISTEN}


def command_lines(processes: list[psutil.Process]) -> str:
    return "\n".join(" ".join(process.cmdline()) for process in processes)


def taken_port() -> socket.socket:
    """A listener on a free port; close it."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener
