"""Phase 1 from pictures to a registered bundle, and everything that a person can look at afterwards."""

from __future__ import annotations

import io
import re
import shutil

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from PIL import Image
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

from stage1_core.acceptance import AcceptanceReport
from stage1_core.bundle.runtime import load_bundle
from stage1_core.bundle.verify import verify_bundle
from stage1_core.data.access_log import AccessLog
from stage1_core.errors import BundleError
from stage1_core.phases.baseline import BaselineConfig
from stage1_core.splits import Purpose
from tests.integration.toys import PICTURES


@pytest.fixture
def pictures(finished_run):
    return sorted((finished_run.workspace.parent / "pictures" / "images").iterdir())[:24]


@pytest.fixture
def parent(finished_run):
    return MlflowClient().get_run(finished_run.released.run.mlflow_run_id)


@pytest.fixture
def page(finished_run):
    """The run's artifacts in the Prefect page, by key."""
    wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[finished_run.flow_run_id]))
    with get_client(sync_client=True) as client:
        return {artifact.key: artifact for artifact in client.read_artifacts(artifact_filter=wanted)}


def test_the_certified_risk_is_the_one_that_was_promised(finished_run):
    certified = finished_run.released.certified
    assert certified.max_risk == finished_run.config.constraint.max_risk
    assert certified.confidence == finished_run.config.constraint.confidence
    assert certified.risk.upper_bound <= certified.max_risk
    assert certified.control_rejected


def test_the_released_bundle_passes_its_verification(finished_run):
    report = verify_bundle(finished_run.released.run.folder / "bundle")
    assert report.passed, report.summary()


def test_rows_are_looked_at_once_for_the_certificate_and_once_for_the_evaluation(finished_run):
    (file,) = (finished_run.workspace / "ledgers").glob("*.jsonl")
    entries = AccessLog(file).entries()
    assert [(entry.event, entry.purpose) for entry in entries] == [
        ("certified", Purpose.CERTIFY_UNCALIBRATED_POLICY),
        ("opened", Purpose.FINAL_EVALUATION),
    ]
    assert entries[0].delta_spent == pytest.approx(0.1)
    assert entries[1].delta_spent == 0


def test_the_run_folder_holds_what_people_look_for(finished_run):
    folder = finished_run.released.run.folder
    assert folder.parent == finished_run.workspace / "runs"
    assert re.fullmatch(r"\d{8}_\d{6}(_\d+)?", folder.name)
    assert BaselineConfig.from_json_file(folder / "config.json") == finished_run.config
    assert {path.name for path in folder.iterdir()} == {
        "acceptance.json", "bundle", "calibrators", "checkpoints", "config.json", "figures", "logs", "metrics",
        "policy.json", "report.html",
    }  # fmt: skip
    assert (folder / "checkpoints" / "head" / "head.safetensors").is_file()
    assert {path.name for path in (folder / "metrics").iterdir()} == {
        "certify_policy.npz", "select_model.npz", "val_test",
    }  # fmt: skip
    assert "4 epochs" in (folder / "logs" / "stage1.log").read_text()
    assert "toy 0.1.0" in (folder / "report.html").read_text()
    assert AcceptanceReport.from_json_file(folder / "acceptance.json").passed


class TestMlflow:
    def test_the_phase_is_a_finished_parent_run_and_the_training_a_nested_one(self, finished_run, parent):
        runs = MlflowClient().search_runs([parent.info.experiment_id])
        nested = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
        assert len(runs) == 2
        assert [run.info.run_name for run in nested] == ["training"]
        assert {parent.info.status, nested[0].info.status} == {"FINISHED"}
        losses = MlflowClient().get_metric_history(nested[0].info.run_id, "val_loss")
        assert [point.step for point in losses] == [1, 2, 3, 4]

    def test_every_leaf_of_the_configuration_is_a_parameter(self, parent):
        assert parent.data.params["training.epochs"] == "4"
        assert parent.data.params["data.sources.0.label_file"] == "labels.csv"
        assert parent.data.params["constraint.max_risk"] == "0.1"

    def test_rates_are_metrics_with_their_bounds_and_trials(self, finished_run, parent):
        counted = finished_run.released.evaluation.exits.fnr_on_exited
        metrics = parent.data.metrics
        assert metrics["fnr_on_exited"] == counted.rate
        assert metrics["fnr_on_exited_upper"] == counted.upper_bound
        assert metrics["fnr_on_exited_lower"] == counted.lower_bound
        assert metrics["fnr_on_exited_trials"] == counted.trials
        assert metrics["augrc"] == finished_run.released.evaluation.model.augrc

    def test_the_rows_of_each_purpose_are_an_input_with_the_purpose_as_context(self, parent):
        contexts = {tag.value for given in parent.inputs.dataset_inputs for tag in given.tags}
        assert contexts == {purpose.value for purpose in Purpose}

    def test_acceptance_figures_and_report_are_its_files(self, parent):
        client = MlflowClient()
        files = {file.path for part in client.list_artifacts(parent.info.run_id)
                 for file in client.list_artifacts(parent.info.run_id, part.path)}  # fmt: skip
        assert {"acceptance/acceptance.json", "report/report.html", "figures/1-certificate.png"} <= files

    def test_the_bundle_is_registered_as_candidate_with_its_identity(self, finished_run, parent):
        version = MlflowClient().get_model_version_by_alias("toy", "candidate")
        assert finished_run.released.registered.version == str(version.version) == "1"
        assert version.run_id == parent.info.run_id
        manifest = load_bundle(finished_run.released.run.folder / "bundle").manifest
        assert version.tags["stage1.bundle"] == manifest.content_digest
        assert version.tags["stage1.ledger"] == manifest.evidence.ledger_digest
        assert version.tags["stage1.val_test_openings"] == "1"

    def test_the_registered_model_answers_what_the_bundle_answers(self, finished_run, pictures):
        model = mlflow.pyfunc.load_model("models:/toy@candidate")
        found = model.predict(pd.DataFrame({"image": [path.read_bytes() for path in pictures]}))
        bundle = load_bundle(finished_run.released.run.folder / "bundle")
        decided = bundle.decide([Image.open(io.BytesIO(path.read_bytes())) for path in pictures])
        assert found["exited"].tolist() == [one.exited for one in decided]
        assert found["label"].tolist() == [-1 if one.label is None else one.label for one in decided]
        assert found["probability"].tolist() == [one.probability for one in decided]
        assert found["exited"].any()

    def test_a_registered_model_that_was_tampered_with_is_not_loaded(self, finished_run, tmp_path):
        source = mlflow.artifacts.download_artifacts("models:/toy@candidate")
        model = shutil.copytree(source, tmp_path / "model")
        (policy,) = model.rglob("thresholds.json")
        policy.write_text(policy.read_text().replace('"exit_threshold": 0.', '"exit_threshold": 0.0'))
        with pytest.raises(BundleError, match=r"thresholds\.json"):
            mlflow.pyfunc.load_model(str(model))


class TestPrefectPage:
    def test_the_acceptance_table_has_a_verdict_for_every_check(self, finished_run, page):
        report = AcceptanceReport.from_json_file(finished_run.released.run.folder / "acceptance.json")
        assert page["acceptance"].type == "table"
        assert page["acceptance"].description == "baseline: PASS"
        assert all(check.name in page["acceptance"].data for check in report.checks)

    def test_the_data_are_shown_as_tables(self, page):
        assert page["splits"].type == page["audit"].type == "table"
        assert f'"roadwork": "{PICTURES // 2}"' in page["audit"].data

    def test_figures_are_images_that_need_no_server(self, page):
        figures = [artifact for key, artifact in page.items() if key.startswith("figure-")]
        assert len(figures) == 7
        assert all(figure.type == "image" for figure in figures)
        assert all(figure.data.startswith("data:image/png;base64,iVBOR") for figure in figures)

    def test_the_report_is_a_link(self, finished_run, page):
        assert (finished_run.released.run.folder / "report.html").as_uri() in page["report"].data

    def test_a_tracking_store_without_pages_is_not_linked(self, page):
        assert "mlflow-run" not in page

    def test_the_run_reads_back_as_completed(self, finished_run):
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(finished_run.flow_run_id).state
        assert (state.name, state.is_completed()) == ("Completed", True)
