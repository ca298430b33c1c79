"""A run of several phases: what it left behind, and which of its steps were done."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from mlflow import MlflowClient
from mlflow.entities import Run
from prefect.client.schemas.objects import State

from stage1_core.config import FrozenModel
from stage1_core.data.access_log import AccessLog
from tasks.phase import ReleasedPhase
from tests.conftest import working_in
from tests.integration.toys import EVERY_TIME

Config = TypeVar("Config", bound=FrozenModel)

CERTIFIED, OPENED = "certified certify_uncalibrated_policy", "opened final_evaluation"
THREE_PHASES = [CERTIFIED, OPENED, CERTIFIED, OPENED, "certified certify_policy"]
"""Looks at held-out rows: two releases, and a gate that was turned down."""
SHOWN_EVERY_TIME = {"fingerprint_unlabeled", "publish_judgement", "publish_comparison", "publish_training"}


class LadderRun(NamedTuple, Generic[Config]):
    """A run and where it lies."""

    workspace: Path
    config: Config
    """Of the highest phase."""
    state: State[Any]

    @property
    def released(self) -> ReleasedPhase:
        """What stands in the end."""
        return self.state.result()


def climb(
    flow: Callable[[Config], State[Any]], config: Config, workspace: Path, tracking_store: Path
) -> LadderRun[Config]:
    """Run ``flow``, which returns its state, in a new ``workspace`` with a copy of ``tracking_store``."""
    workspace.mkdir()
    shutil.copy(tracking_store, workspace / "mlflow.db")
    with working_in(workspace):
        return LadderRun(workspace, config, flow(config))


@contextmanager
def copied(run: LadderRun[Config], folder: Path) -> Iterator[LadderRun[Config]]:
    """The same run in a copy of its workspace, in which a phase can be repeated with another wish."""
    shutil.copytree(run.workspace, folder, symlinks=True)
    with working_in(folder):
        yield run._replace(workspace=folder)


def looks(workspace: Path) -> list[str]:
    """At held-out rows, in their order."""
    (log,) = (workspace / "ledgers").glob("*.jsonl")
    return [f"{entry.event} {entry.purpose}" for entry in AccessLog(log).entries()]


def mlflow_run(phase: str) -> Run:
    """The newest."""
    experiment = MlflowClient().get_experiment_by_name("stage1")
    return MlflowClient().search_runs([experiment.experiment_id], f"run_name = '{phase}'")[0]


def computed(step_states) -> set[str]:
    """The cached steps that ran; all others were found."""
    known = EVERY_TIME | SHOWN_EVERY_TIME
    return {name for name, states in step_states.items() if name not in known and set(states) != {"Cached"}}
