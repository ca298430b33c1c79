"""Somebody cancels a run on the page: nothing of it is left but what the next run continues. Takes a minute or two."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient
from prefect.settings import PREFECT_API_URL

from flows.baseline import baseline
from tasks._device import SLOT_VARIABLE
from tasks.tracking import EXPERIMENT
from tests.integration.toys import draw_pictures, toy_config, toy_training
from tests.live.deploying import (
    cancel,
    continued_after,
    deploy,
    log_of,
    make_pool,
    make_slot,
    processes_of,
    released,
    slots_in_use,
    submit,
    until,
    until_final,
)
from tests.live.loading_flow import load_for_ever
from tests.live.servers import ROOT, Running, started, worker

POOL, SLOT = "cancelled", "gpu-of-the-cancelled"
EPOCHS = 1000
"""Twenty seconds on a quick machine: a cancellation must arrive while it trains."""


@pytest.fixture
def on_a_worker(tmp_path: Path, mlflow_url: str, on_the_server: None) -> Running:
    make_pool(POOL)
    prefect = PREFECT_API_URL.value()
    return worker(POOL, tmp_path / "workspace", prefect=prefect, mlflow=mlflow_url, OMP_NUM_THREADS="1")


def mlflow_states(seed: int) -> set[str]:
    """Of all runs that record the training with this seed, the phase's own among them."""
    mlflow = MlflowClient()
    experiment = mlflow.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    parents = mlflow.search_runs([experiment.experiment_id], f"params.`training.seed` = '{seed}'")
    below = [f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'" for parent in parents]
    nested = [run for wanted in below for run in mlflow.search_runs([experiment.experiment_id], wanted)]
    return {run.info.status for run in [*parents, *nested]}


def test_a_cancelled_training_is_continued_by_the_next_run(on_a_worker, tmp_path):
    workspace, seed = tmp_path / "workspace", 20
    config = toy_config(draw_pictures(tmp_path / "pictures"), training=toy_training(epochs=EPOCHS, seed=seed))
    parameters = {"config": config.model_dump(mode="json")}
    deployment = deploy(baseline, POOL, **{SLOT_VARIABLE: make_slot(SLOT)})
    with started(on_a_worker):
        run = submit(deployment, parameters)
        until(lambda: bool(list(workspace.glob("checkpoints/*/epoch-*"))), "the training has begun")
        assert slots_in_use(SLOT) == 1
        family = processes_of(run)
        cancel(run)
        assert until_final(run).name == "Cancelled"
        assert psutil.wait_procs(family, timeout=20)[1] == []
        assert slots_in_use(SLOT) == 0
        assert mlflow_states(seed) == {"KILLED", "FAILED"}
        again = submit(deployment, parameters)
        assert until_final(again).is_completed(), log_of(again)
    assert continued_after(workspace)
    assert mlflow_states(seed) == {"FINISHED"}
    assert len(released(workspace)) == 1


def test_the_processes_of_a_cancelled_run_end_with_it(on_a_worker, tmp_path):
    pictures = draw_pictures(tmp_path / "pictures", 24)
    deployment = deploy(load_for_ever, POOL, PYTHONPATH=str(ROOT))
    with started(on_a_worker):
        run = submit(deployment, {"images": str(pictures / "images")})
        until(lambda: len(processes_of(run)) >= 4, "two processes load pictures")
        family = processes_of(run)
        cancel(run)
        assert until_final(run).name == "Cancelled"
    assert psutil.wait_procs(family, timeout=20)[1] == []
