"""Scheduled retraining as it happens every week: the schedule fires, a worker trains, a candidate is decided about.

The clock is quicker than in production: the schedule fires every minute and the server looks every few seconds. Some
three minutes on two cores that have nothing else to do.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from mlflow import MlflowClient
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.config import DeployConfig, FromFile, MonitoringConfig, RetrainingConfig
from stage1_core.metrics.bootstrap import BootstrapConfig
from stage1_core.phases.ladder import LadderConfig
from stage1_core.policy import SoftmaxPolicyConfig
from stage1_core.promotion.config import NonInferiorityConfig, PromotionConfig
from tests.integration.toys import draw_picture, draw_pictures, three_phases
from tests.live.deploying import client, until
from tests.live.servers import clean_environment, prefect_server, started, worker

MODEL = "toy"
FIRST_WEEK, NEW_PICTURES = 600, 60
SECONDS = 480.0
EVERY_MINUTE = "* * * * *"


class Place(NamedTuple):
    """Where the weeks go by."""

    pictures: Path
    workspace: Path
    mlflow: str


def runs(flow: str) -> list[FlowRun]:
    """The runs of a flow that have begun, oldest first."""
    with client() as api:
        found = api.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=[flow])), sort=FlowRunSort.START_TIME_ASC
        )
    return [run for run in found if run.start_time is not None]


def ended(flow: str) -> list[FlowRun]:
    return [run for run in runs(flow) if run.state is not None and run.state.is_final()]


def named(flow: str, state: str) -> list[FlowRun]:
    return [run for run in ended(flow) if run.state_name == state]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, mlflow_url: str) -> Iterator[Place]:
    """A server, deployed to by the command, and a worker for each pool; they share a workspace."""
    folder = tmp_path_factory.mktemp("weeks")
    here = Place(draw_pictures(folder / "pictures", FIRST_WEEK, faint=0.1), folder / "workspace", mlflow_url)
    server = prefect_server(folder / "server", PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS="5")
    workers = [
        worker(pool, here.workspace, prefect=server.url, mlflow=mlflow_url, name=f"{pool}-worker")
        for pool in ("gpu", "cpu")
    ]
    with started(server), temporary_settings(updates={PREFECT_API_URL: server.url}):
        deploy(folder, here, server.url)
        with started(*workers):
            yield here


def deploy(folder: Path, here: Place, url: str) -> None:
    ladder = LadderConfig(top=three_phases(here.pictures, softmax=SoftmaxPolicyConfig()))
    (folder / "ladder.yaml").write_text(yaml.safe_dump(ladder.model_dump(mode="json")))
    margins = NonInferiorityConfig(
        max_coverage_loss=0.5,
        max_accuracy_loss=0.2,
        max_augrc_gain=0.2,
        max_fnr_gain=0.25,
        bootstrap=BootstrapConfig(level=0.9, resamples=400),
    )
    config = DeployConfig(
        retraining=RetrainingConfig(ladder=FromFile(path=folder / "ladder.yaml"), cron=EVERY_MINUTE),
        promotion=PromotionConfig(not_worse=margins),
        monitoring=MonitoringConfig(scheduled=False),
    )
    (folder / "deploy.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    command = [str(Path(sys.executable).with_name("stage1")), "deploy", "--config", str(folder / "deploy.yaml")]
    environment = clean_environment(PREFECT_API_URL=url, STAGE1_ARTIFACTS=str(folder / "elsewhere"))
    made = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert made.returncode == 0, made.stdout + made.stderr


def add_pictures(here: Place) -> None:
    """A week's new pictures, drawn aside and listed only when all are there."""
    labels = [number % 2 for number in range(FIRST_WEEK, FIRST_WEEK + NEW_PICTURES)]
    lines = []
    for number, label in enumerate(labels, start=FIRST_WEEK):
        draw_picture(here.pictures / "images" / f"{number:04}.png", label, seed=10_000 + number)
        lines.append(f"{number:04}.png,{label}\n")
    grown = here.pictures / "labels.csv.new"
    shutil.copy(here.pictures / "labels.csv", grown)
    with grown.open("a") as file:
        file.writelines(lines)
    grown.replace(here.pictures / "labels.csv")


def champion(here: Place) -> str:
    return str(MlflowClient(here.mlflow).get_model_version_by_alias(MODEL, "champion").version)


def test_the_schedule_makes_a_candidate_decides_and_then_waits_for_news(place: Place):
    until(lambda: bool(named("retrain", "Completed")), "the schedule fires and a worker retrains", seconds=SECONDS)
    (first,) = named("retrain", "Completed")
    assert first.auto_scheduled
    until(lambda: bool(ended("promotion")), "the candidate is decided about", seconds=SECONDS)
    (decision,) = ended("promotion")
    assert decision.state_name == "Completed", decision.state
    first_champion = champion(place)

    until(lambda: bool(named("retrain", "NothingToDo")), "the next retraining finds nothing new", seconds=SECONDS)
    idle = named("retrain", "NothingToDo")[0]
    assert idle.total_run_time.total_seconds() < 0.5 * first.total_run_time.total_seconds()
    assert f"{MODEL} version {first_champion}: nothing to retrain" in idle.state.message

    add_pictures(place)
    until(lambda: len(named("retrain", "Completed")) == 2, "the new pictures are trained on", seconds=SECONDS)
    until(lambda: len(ended("promotion")) == 2, "the second candidate is decided about", seconds=SECONDS)
    second = ended("promotion")[1]
    assert second.state_name in ("Completed", "Refused"), second.state
    version = second.parameters["request"]["candidate"]
    assert version != first_champion
    assert champion(place) == (version if second.state_name == "Completed" else first_champion)
    tags = MlflowClient(place.mlflow).get_model_version(MODEL, version).tags
    assert tags["stage1.evidence"]
    # One at a time: what the schedule starts while another retraining runs is cancelled before it begins.
    assert {run.state_name for run in ended("retrain")} <= {"Completed", "NothingToDo", "Cancelled"}
