"""Settings and fixtures shared by all tests."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

settings.register_profile("stage1", deadline=None)  # a loaded machine is not a failing test
settings.load_profile("stage1")


def pytest_configure(config: pytest.Config) -> None:
    """What Prefect and MLflow read when they are imported: no server, folder or page of whoever runs the tests."""
    home = tempfile.TemporaryDirectory(prefix="stage1-tests-")
    config.add_cleanup(home.cleanup)
    os.environ.update(
        {
            "PREFECT_HOME": home.name,
            "PREFECT_API_URL": "",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_TRACKING_URI": f"sqlite:///{home.name}/mlflow.db",
            # With these two the harness's SQLite answers "locked" so often that flows take ten times as long.
            "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_ENABLED": "false",
            "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED": "false",
        }
    )


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a fixed seed."""
    return np.random.default_rng(20260101)


@pytest.fixture(scope="session")
def prefect_api() -> Iterator[None]:
    """A Prefect server for the session, and flows without the heartbeat thread that costs each a second."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    with (
        prefect_test_harness(server_startup_timeout=90),
        temporary_settings(updates={PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
    ):
        yield
        give_up_undelivered_events(seconds=30)


def give_up_undelivered_events(seconds: float) -> None:
    """Let go of Prefect's workers that deliver events where they are not done in time.

    One was seen to wait for ever, without any connection, for what an event is related to (Prefect 3.8, after tests
    that talk to several servers). The harness waits for it without limit, and so does the interpreter when it ends.
    """
    from prefect.events.worker import EventsWorker

    workers = tuple(EventsWorker._instances.values())
    EventsWorker.drain_all(timeout=seconds, at_exit=False)
    for worker in workers:
        worker._loop.call_soon_threadsafe(worker._done_event.set)


@pytest.fixture(scope="session")
def empty_tracking_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without runs. Making its tables takes seconds, copying it does not."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("tracking") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@contextmanager
def working_in(folder: Path) -> Iterator[Path]:
    """Steps of flows keep everything below ``folder``, which holds ``mlflow.db``."""
    from prefect.settings import PREFECT_RESULTS_LOCAL_STORAGE_PATH, temporary_settings

    with (
        pytest.MonkeyPatch.context() as patch,
        temporary_settings(updates={PREFECT_RESULTS_LOCAL_STORAGE_PATH: folder / "results"}),
    ):
        patch.setenv("STAGE1_ARTIFACTS", str(folder))
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        patch.setenv("PREFECT_RESULTS_LOCAL_STORAGE_PATH", str(folder / "results"))
        yield folder


@pytest.fixture
def workspace(tmp_path: Path, prefect_api: None, empty_tracking_store: Path) -> Iterator[Path]:
    """An empty workspace of the test's own, in which flows and tasks run."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    shutil.copy(empty_tracking_store, folder / "mlflow.db")
    with working_in(folder):
        yield folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The machine's own Chromium; none is ever downloaded, and a machine without one fails the test.

    It ends with the file that asked for it: its driver runs an event loop in this thread, and flows called where
    one runs return coroutines.
    """
    from playwright.sync_api import sync_playwright

    paths = [path for name in CHROMIUM_NAMES if (path := shutil.which(name))]
    if not paths:
        pytest.fail(
            f"found none of {', '.join(CHROMIUM_NAMES)}; install one, on Debian with `apt-get install chromium`",
            pytrace=False,
        )
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=paths[0], args=QUIET)
        yield started
        started.close()
