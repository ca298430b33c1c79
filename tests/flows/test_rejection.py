"""A phase that proves too little ends as a named failure, keeps its evidence, and releases nothing."""

from __future__ import annotations

import pytest
from mlflow import MlflowClient
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

from flows.baseline import baseline
from flows.ladder import ladder
from stage1_core.acceptance import AcceptanceReport, Verdict
from stage1_core.errors import PhaseRejected
from stage1_core.phases.baseline import BaselineAcceptance
from stage1_core.phases.gate import GateConfig
from stage1_core.phases.ladder import LadderConfig
from stage1_core.phases.selective_evaluation import SelectiveEvaluationConfig


def test_too_little_data_is_named_so(rejected):
    assert rejected.state.is_failed()
    assert rejected.state.name == "InsufficientEvidence"
    assert rejected.state.message.startswith("baseline: INSUFFICIENT_EVIDENCE")
    assert "certified fnr_on_exited" in rejected.state.message


def test_the_error_carries_the_whole_report(rejected):
    error = rejected.state.result(raise_on_failure=False)
    assert isinstance(error, PhaseRejected)
    report = AcceptanceReport.model_validate(error.report)
    assert report.verdict is Verdict.INSUFFICIENT_EVIDENCE
    assert len(report.checks) > 5
    (folder,) = (rejected.workspace / "runs").glob("*/acceptance.json")
    assert report == AcceptanceReport.from_json_file(folder)


def test_name_and_message_read_back_from_the_server(rejected):
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(rejected.state.state_details.flow_run_id).state
    assert (state.type.value, state.name) == ("FAILED", "InsufficientEvidence")
    assert state.message == rejected.state.message


def test_the_acceptance_table_was_shown_before_the_run_halted(rejected):
    wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[rejected.state.state_details.flow_run_id]))
    with get_client(sync_client=True) as client:
        page = {artifact.key: artifact for artifact in client.read_artifacts(artifact_filter=wanted)}
    assert page["acceptance"].description == rejected.state.message
    assert "INSUFFICIENT_EVIDENCE" in page["acceptance"].data
    assert {"report", "figure-1-certificate"} <= page.keys()


def test_nothing_is_released_or_registered(rejected):
    assert MlflowClient().search_registered_models() == []
    assert not (rejected.workspace / "store" / "bundle").exists()
    assert list((rejected.workspace / "runs").glob("*/bundle")) == []


def test_the_mlflow_run_is_a_failed_one_with_its_report(rejected):
    client = MlflowClient()
    experiment = client.get_experiment_by_name("stage1")
    (parent,) = client.search_runs([experiment.experiment_id], "run_name = 'baseline'")
    assert parent.info.status == "FAILED"
    assert "acceptance/acceptance.json" in {
        file.path for file in client.list_artifacts(parent.info.run_id, "acceptance")
    }


class TestAgain:
    """Repeated on the same workspace: every costly step is found."""

    def test_a_caller_gets_the_exception(self, rejected):
        with pytest.raises(PhaseRejected, match="INSUFFICIENT_EVIDENCE") as caught:
            baseline(rejected.config)
        assert caught.value.report["phase"] == "baseline"

    def test_the_ladder_halts_under_the_same_name(self, rejected):
        above = SelectiveEvaluationConfig(previous=rejected.config)
        state = ladder(LadderConfig(top=GateConfig(previous=above)), return_state=True)
        assert (state.is_failed(), state.name) == (True, "InsufficientEvidence")
        assert state.message == rejected.state.message
        assert isinstance(state.result(raise_on_failure=False), PhaseRejected)
        with get_client(sync_client=True) as client:
            assert client.read_flow_run(state.state_details.flow_run_id).state.name == "InsufficientEvidence"

    def test_a_check_that_fails_is_a_rejection(self, rejected):
        acceptance = BaselineAcceptance(min_coverage=1.0)
        state = baseline(rejected.config.model_copy(update={"acceptance": acceptance}), return_state=True)
        assert (state.is_failed(), state.name) == (True, "Rejected")
        assert "coverage on the certifying rows: FAIL" in state.message
