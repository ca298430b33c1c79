"""The servers are killed in the middle of a run and come back: the run ends well. Takes two minutes."""

from __future__ import annotations

import time
from pathlib import Path

from mlflow import MlflowClient
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.baseline import baseline
from tests.integration.toys import draw_pictures, toy_config, toy_training
from tests.live.deploying import deploy, log_of, make_pool, past_states, released, submit, until, until_final
from tests.live.servers import Running, mlflow_server, prefect_server, started, worker

POOL = "patient"
SECONDS_AWAY = 10.0
"""Besides the time they take to start. Long enough that the run needs them meanwhile."""


def restart_when(workspace: Path, reached: str, *servers: Running) -> None:
    """As when the machine of the servers loses power: same ports, same databases."""
    until(lambda: bool(list(workspace.glob(reached))), f"{reached} is there")
    for server in servers:
        server.kill()
    time.sleep(SECONDS_AWAY)  # what is tested is that time passes
    for server in servers:
        server.start()


def test_the_servers_are_away_while_a_run_trains_and_while_it_publishes(tmp_path, monkeypatch):
    workspace = tmp_path / "workspace"
    prefect, mlflow = prefect_server(tmp_path / "prefect"), mlflow_server(tmp_path / "mlflow")
    working = worker(POOL, workspace, prefect=prefect.url, mlflow=mlflow.url, OMP_NUM_THREADS="1")
    config = toy_config(draw_pictures(tmp_path / "pictures"), training=toy_training(epochs=1500))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow.url)
    with started(prefect, mlflow), temporary_settings(updates={PREFECT_API_URL: prefect.url}):
        make_pool(POOL)
        with started(working):
            run = submit(deploy(baseline, POOL), {"config": config.model_dump(mode="json")})
            restart_when(workspace, "checkpoints/*/epoch-*", prefect, mlflow)
            restart_when(workspace, "store/report/*.json", prefect, mlflow)
            assert until_final(run).is_completed(), log_of(run)
        assert past_states(run)[-2:] == ["Running", "Completed"]
        assert len(released(workspace)) == 1
        assert MlflowClient().get_model_version_by_alias("toy", "candidate").version == "1"
