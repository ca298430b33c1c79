"""Toys released to the real servers, and the command line as a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.events.filters import EventFilter, EventNameFilter, EventResourceFilter
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_RESULTS_LOCAL_STORAGE_PATH,
    temporary_settings,
)

from flows.baseline import baseline
from stage1_core.bundle.manifest import ReleaseConfig
from stage1_core.promotion.config import NonInferiorityConfig, PromotionConfig
from tasks.events import EventName
from tasks.phase import ReleasedPhase
from tests.conftest import give_up_undelivered_events
from tests.integration.toys import draw_pictures, toy_config, toy_training
from tests.live.servers import ROOT, clean_environment

SECONDS = 60.0
"""An event is on the server within a few."""
LENIENT = PromotionConfig(
    not_worse=NonInferiorityConfig(max_coverage_loss=0.3, max_accuracy_loss=0.3, max_augrc_gain=0.3, max_fnr_gain=0.3)
)
"""Margins so wide that the few test rows of a toy can show that they are kept."""


@contextmanager
def workplace(workspace: Path, prefect: str, mlflow: str) -> Iterator[dict[str, str]]:
    """This process works in ``workspace`` with these servers; the environment in which another does the same."""
    variables = {
        "STAGE1_ARTIFACTS": str(workspace),
        "PREFECT_API_URL": prefect,
        "PREFECT_RESULTS_LOCAL_STORAGE_PATH": str(workspace / "results"),
        "MLFLOW_TRACKING_URI": mlflow,
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "COLUMNS": "200",
    }
    settings = {
        PREFECT_API_URL: prefect,
        PREFECT_RESULTS_LOCAL_STORAGE_PATH: workspace / "results",
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
    }
    workspace.mkdir(parents=True, exist_ok=True)
    give_up_undelivered_events(seconds=30)  # whoever sent the first event of this process chose where all others go
    with pytest.MonkeyPatch.context() as patch, temporary_settings(updates=settings):
        for name, value in variables.items():
            patch.setenv(name, value)
        yield clean_environment(**variables, PREFECT_HOME=str(workspace / "prefect-home"))


def release_toys(pictures: Path, model: str, *, seeds: int) -> list[ReleasedPhase]:
    """As many releases of ``model``, each with another head; versions "1", "2", ..."""
    draw_pictures(pictures)
    release = ReleaseConfig(name=model, golden_pictures=4)
    return [baseline(toy_config(pictures, training=toy_training(seed=seed), release=release)) for seed in range(seeds)]


def write_config(folder: Path, config: PromotionConfig = LENIENT) -> Path:
    path = folder / "promotion.yaml"
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    return path


def start(environment: Mapping[str, str], *words: object, first: str = "") -> subprocess.Popen[str]:
    """`stage1 <words>` as a process without a terminal, in which the statements ``first`` come first."""
    code = f"import sys; sys.argv = {['stage1', *map(str, words)]!r}; {first}from stage1_cli.app import main; main()"
    command = [sys.executable, "-c", code]
    pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(command, env=dict(environment), cwd=ROOT, text=True, **pipes)


def stage1(environment: Mapping[str, str], *words: object) -> tuple[int, str]:
    """Exit code and output of `stage1 <words>`."""
    process = start(environment, *words)
    output, _ = process.communicate(timeout=300)
    return process.returncode, output


def told(name: EventName, resource: str) -> list[dict[str, Any]]:
    """What the events ``name`` about ``resource`` say that are on the server, newest first."""
    wanted = EventFilter(event=EventNameFilter(name=[name.value]), resource=EventResourceFilter(id=[resource]))
    with get_client(sync_client=True) as server:
        return [event.payload for event in server.read_events(wanted, limit=50).events]


def until_told(name: EventName, resource: str, **payload: object) -> dict[str, Any]:
    """What the newest event ``name`` about ``resource`` says that says at least ``payload``, once it is there."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        for found in told(name, resource):
            if payload.items() <= found.items():
                return found
        time.sleep(0.2)
    raise AssertionError(f"no {name} about {resource} with {payload}, but {told(name, resource)}")
