"""Three phases on little pictures: a gate that is better is released, one that is not leaves what stands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from flows.ladder import ladder
from stage1_core.acceptance import AcceptanceReport
from stage1_core.bundle.manifest import BundleManifest
from stage1_core.bundle.runtime import load_bundle
from stage1_core.bundle.verify import verify_bundle
from stage1_core.data.access_log import AccessLog
from stage1_core.phases.ladder import LadderConfig
from stage1_core.policy import SoftmaxPolicyConfig
from stage1_core.policy.comparison import PolicyComparison
from stage1_core.predictions import Predictions
from tests.conftest import working_in

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def needless_gate(run_once):
    """Over an incumbent that is as good as it gets."""
    return run_once(SoftmaxPolicyConfig())


@pytest.fixture
def adopted(better_gate) -> Iterator:
    with working_in(better_gate.workspace):
        yield better_gate


@pytest.fixture
def turned_down(needless_gate) -> Iterator:
    with working_in(needless_gate.workspace):
        yield needless_gate


def openings(workspace: Path) -> list[str]:
    """Looks at held-out rows, in their order."""
    (log,) = (workspace / "ledgers").glob("*.jsonl")
    return [f"{entry.event} {entry.purpose}" for entry in AccessLog(log).entries()]


CERTIFIED, OPENED = "certified certify_uncalibrated_policy", "opened final_evaluation"
TWO_SOFTMAX_PHASES = [CERTIFIED, OPENED] * 2


class TestABetterGate:
    def test_it_is_released(self, adopted):
        assert (adopted.state.is_completed(), adopted.state.name) == (True, "Completed")
        assert (adopted.released.phase, adopted.released.turned_down) == ("gate", None)
        assert adopted.released.registered.version == "3"

    def test_its_bundle_holds_the_gate_and_passes_its_verification(self, adopted):
        bundle = adopted.released.run.folder / "bundle"
        assert BundleManifest.from_json_file(bundle / "bundle.json").policy.file == "gateparams.json"
        report = verify_bundle(bundle)
        assert report.passed, report.summary()
        picture = adopted.workspace.parent / "pictures" / "images" / "0001.png"
        assert 0 <= load_bundle(bundle).decide([picture])[0].probability <= 1

    def test_the_acceptance_holds_the_comparison_and_the_checks_of_the_gate(self, adopted):
        report = AcceptanceReport.from_json_file(adopted.released.run.folder / "acceptance.json")
        names = " | ".join(check.name for check in report.checks)
        for part in (
            "gain in coverage over softmax",
            "exit error on the certifying rows",
            "calibration error of the gate",
        ):
            assert part in names
        assert report.passed

    def test_the_gain_was_found_on_selection_rows(self, adopted):
        comparison = PolicyComparison.from_json_file(adopted.released.run.folder / "comparison.json")
        assert comparison.purpose == "select_model"
        assert comparison.differences["coverage"].lower >= adopted.config.comparison.min_coverage_gain

    def test_each_certificate_and_each_opening_is_counted(self, adopted):
        assert openings(adopted.workspace) == [*TWO_SOFTMAX_PHASES, "certified certify_policy", OPENED]

    def test_gate_logits_are_kept_for_every_purpose(self, adopted):
        made = adopted.released.made
        folder = adopted.workspace / "store"
        for ref in (made.order_on, made.calibrate_on, made.certify_on, made.evaluation):
            rows = Predictions.load(folder / ref.path / "predictions.npz")
            assert rows.scores.gate_logits is not None
            assert rows.scores.aux_logits is not None


class TestANeedlessGate:
    def test_nothing_is_released_and_what_stood_stands(self, turned_down):
        assert (turned_down.state.is_completed(), turned_down.state.name) == (True, "NotAdopted")
        assert turned_down.released.phase == "selective_evaluation"
        assert "gain in coverage over softmax" in turned_down.released.turned_down.report.summary()
        assert len(MlflowClient().search_model_versions("name = 'toy'")) == 2

    def test_the_test_rows_stayed_closed_for_it(self, turned_down):
        assert openings(turned_down.workspace) == [*TWO_SOFTMAX_PHASES, "certified certify_policy"]

    def test_the_comparison_can_be_read(self, turned_down):
        page = turned_down.released.turned_down.run.folder / "comparison.html"
        assert "not adopted" in page.read_text().lower()

    def test_its_mlflow_run_is_a_finished_one_with_the_differences(self, turned_down):
        client = MlflowClient()
        experiment = client.get_experiment_by_name("stage1")
        (run,) = client.search_runs([experiment.experiment_id], "run_name = 'gate'")
        assert run.info.status == "FINISHED"
        assert run.data.metrics["difference_coverage_lower"] < 0

    def test_the_ladder_finds_it_all_and_ends_the_same(self, turned_down):
        state = ladder(LadderConfig(top=turned_down.config), return_state=True)
        assert state.is_completed()
        assert state.result().phase == "selective_evaluation"
        assert state.result().bundle == turned_down.released.bundle
        assert openings(turned_down.workspace) == [*TWO_SOFTMAX_PHASES, "certified certify_policy"]


class TestTheSelectiveEvaluation:
    def test_the_released_head_is_the_best_by_augrc_with_accuracys_best_beside_it(self, turned_down):
        head = turned_down.workspace / "store" / turned_down.released.made.head.path
        assert (head / "head.safetensors").read_bytes() == (head / "kept/augrc/head.safetensors").read_bytes()
        assert (head / "kept/accuracy/head.safetensors").is_file()

    def test_every_metric_was_computed_twice(self, turned_down):
        report = AcceptanceReport.from_json_file(turned_down.released.run.folder / "acceptance.json")
        agreeing = [check for check in report.checks if "agrees" in check.name]
        assert len(agreeing) >= 5

    def test_other_geometries_were_looked_at(self, turned_down):
        table = turned_down.released.run.folder / "metrics" / "transforms.json"
        assert "letterbox" in table.read_text()

    def test_every_number_has_an_interval(self, turned_down):
        intervals = turned_down.released.evaluation.intervals
        assert {"augrc", "nll", "brier", "coverage", "fnr_on_exited", "risk_at_coverage_0.8"} <= intervals.keys()
        assert intervals["augrc"].resamples == 200
