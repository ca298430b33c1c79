"""A gate whose training went wrong halts the phase, and everybody sees why."""

from __future__ import annotations

import pytest
from mlflow import MlflowClient
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

from flows._flow import flow
from stage1_core.acceptance import AcceptanceReport, FactCheck
from stage1_core.bundle.artifact import ArtifactKind, ArtifactRef
from stage1_core.bundle.manifest import ReleaseConfig
from tasks._workspace import store
from tasks.acceptance import ACCEPTANCE_FILE
from tasks.publishing import open_run, publish_training, require_accepted


@flow("trained")
def trained(acceptance: ArtifactRef) -> str:
    """The part of the gate's flow that looks at its training."""
    run = open_run("trained", ReleaseConfig())
    publish_training(run, acceptance)
    require_accepted(acceptance)
    return "went on"


def found(*, alive: bool) -> ArtifactRef:
    check = FactCheck(name="the gate did not collapse", holds=alive, evidence="constant: mean 0.820")
    report = AcceptanceReport.of("gate training", (check,))
    return store().put_file(ArtifactKind.ACCEPTANCE, ACCEPTANCE_FILE, report)


@pytest.mark.parametrize(
    ("alive", "name", "status"), [(False, "Rejected", "FAILED"), (True, "Completed", "RUNNING")], ids=["dead", "alive"]
)
def test_the_check_is_shown_whatever_comes_of_it(workspace, alive, name, status):
    state = trained(found(alive=alive), return_state=True)
    assert state.name == name
    wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[state.state_details.flow_run_id]))
    with get_client(sync_client=True) as client:
        (table,) = client.read_artifacts(artifact_filter=wanted)
    assert table.key == "training"
    assert "the gate did not collapse" in table.data
    (kept,) = (workspace / "runs").glob("*/training.json")
    assert AcceptanceReport.from_json_file(kept).passed is alive
    client = MlflowClient()
    experiment = client.get_experiment_by_name("stage1")
    (run,) = client.search_runs([experiment.experiment_id], "run_name = 'trained'")
    assert run.info.status == status
