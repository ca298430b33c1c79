"""Real servers for tests: Prefect, MLflow and workers as processes of their own, on free ports of 127.0.0.1."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECONDS_TO_START = 120.0
SECONDS_TO_STOP = 30.0

FOR_THE_HARNESS_ONLY = (
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_ENABLED",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED",
    "PREFECT_API_URL",
    "PREFECT_HOME",
)


def free_port() -> int:
    """A port that nothing listens on at this moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def clean_environment(**changes: str) -> dict[str, str]:
    """This process's environment without what the in-process harness needs, with ``changes``."""
    kept = {name: value for name, value in os.environ.items() if name not in FOR_THE_HARNESS_ONLY}
    return kept | changes


@dataclass
class Running:
    """A process that a test may stop, kill and start again."""

    command: list[str]
    environment: Mapping[str, str]
    log: Path
    url: str = ""
    """Where it answers; empty for a worker."""
    health: str = ""
    folder: Path = ROOT
    """Working directory."""
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> Running:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                env=dict(self.environment),
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if self.health:
            self.wait_until_healthy()
        return self

    def wait_until_healthy(self) -> None:
        deadline = time.monotonic() + SECONDS_TO_START
        while time.monotonic() < deadline:
            if not self.alive:
                raise AssertionError(f"{self.command[:4]} ended at once:\n{self.text()[-3000:]}")
            try:
                with urllib.request.urlopen(self.health, timeout=2):
                    return
            except (OSError, urllib.error.URLError):
                time.sleep(0.2)
        raise AssertionError(f"{self.health} did not answer in {SECONDS_TO_START} s:\n{self.text()[-3000:]}")

    def stop(self) -> None:
        """As an operator does: SIGTERM, and its whole group is killed only if that does not help."""
        if not self.alive:
            return
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL to the process and everything in its group, as when a machine loses power."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(SECONDS_TO_STOP)

    def text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""


def prefect_server(folder: Path, *, port: int | None = None, **environment: str) -> Running:
    """Prefect on SQLite below ``folder``; ``url`` is that of its API."""
    port = port or free_port()
    folder.mkdir(parents=True, exist_ok=True)
    url = f"http://127.0.0.1:{port}/api"
    variables = clean_environment(
        PREFECT_HOME=str(folder), PREFECT_SERVER_UI_API_URL=url, PREFECT_SERVER_LOGGING_LEVEL="WARNING", **environment
    )
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    return Running(command, variables, folder / "server.log", url, f"{url}/health")


def mlflow_server(
    folder: Path, *, port: int | None = None, user_and_password: tuple[str, str] | None = None, **environment: str
) -> Running:
    """MLflow on SQLite below ``folder``, with its files there too; given a user, it answers nobody else."""
    port = port or free_port()
    folder.mkdir(parents=True, exist_ok=True)
    url = f"http://127.0.0.1:{port}"
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--artifacts-destination", str(folder / "files")),
    ]
    variables = clean_environment(MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false", **environment)  # saves eight processes
    if user_and_password is not None:
        settings = folder / "users.ini"
        settings.write_text(
            f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{folder / 'users.db'}\n"
            "auth_cache_ttl_seconds = 60\n"  # or it computes a costly hash, 0.1 s on an idle core, for each request
        )
        command += ["--app-name", "basic-auth"]
        variables |= {
            "MLFLOW_AUTH_CONFIG_PATH": str(settings),
            "MLFLOW_AUTH_ADMIN_USERNAME": user_and_password[0],
            "MLFLOW_AUTH_ADMIN_PASSWORD": user_and_password[1],
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(32),
        }
    return Running(command, variables, folder / "mlflow.log", url, f"{url}/health")


def worker(
    pool: str, workspace: Path, *, prefect: str, mlflow: str, name: str = "worker", **environment: str
) -> Running:
    """A process worker of ``pool`` whose runs keep everything in ``workspace``.

    It stands in an empty folder: each run gets a copy of it.
    """
    folder = workspace / f"{name}-stands-here"
    folder.mkdir(parents=True, exist_ok=True)
    variables = clean_environment(
        PREFECT_API_URL=prefect,
        PREFECT_HOME=str(workspace / f"{name}-home"),
        PREFECT_WORKER_QUERY_SECONDS="2",
        MLFLOW_TRACKING_URI=mlflow,
        STAGE1_ARTIFACTS=str(workspace),
        PYTHONPATH=str(ROOT),  # some flows are defined in tests
        **environment,
    )
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--type", "process", "--name", name]
    return Running(command, variables, workspace / f"{name}.log", folder=folder)


@contextmanager
def started(*processes: Running) -> Iterator[None]:
    """Start in order, stop in the opposite order whatever happens."""
    running: list[Running] = []
    try:
        for process in processes:
            running.append(process)
            process.start()
        yield
    finally:
        for process in reversed(running):
            process.stop()
