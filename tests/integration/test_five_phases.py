"""Five phases on little pictures: a backbone that was worth training is released, what was not worth it is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from flows.domain_adaptation import domain_adaptation
from flows.sharpness import sharpness
from stage1_core.acceptance import AcceptanceReport
from stage1_core.adaptation.arm import ArmConfig
from stage1_core.bundle.manifest import BundleManifest
from stage1_core.bundle.runtime import load_bundle
from stage1_core.bundle.verify import verify_bundle
from stage1_core.data.ledger import SplitLedger
from stage1_core.metrics.bootstrap import BootstrapConfig
from stage1_core.model.adapters.config import FrozenBackboneConfig, FullFineTuningConfig, LoraAdapterConfig
from stage1_core.model.backbone import backbone_digest, saved_backbone_config
from stage1_core.phases.domain_adaptation import DomainAdaptationAcceptance, DomainAdaptationConfig
from stage1_core.phases.sharpness import SharpnessConfig
from stage1_core.policy import SoftmaxPolicyConfig
from stage1_core.policy.arm_choice import ArmChoiceConfig
from stage1_core.policy.comparison import ComparisonConfig
from stage1_core.policy.softmax import FixedGrid
from stage1_core.predictions import Predictions
from stage1_core.splits import Purpose
from stage1_core.training.config import TrainingConfig
from stage1_core.training.optimizer import AdamWConfig
from tasks.arms import Judgement
from tasks.features import FeatureSet
from tests.conftest import working_in
from tests.integration.ladder_runs import (
    CERTIFIED,
    OPENED,
    THREE_PHASES,
    LadderRun,
    climb,
    computed,
    copied,
    looks,
    mlflow_run,
)
from tests.integration.toys import draw_pictures, five_phases, toy_selective_training
from tests.model.backbone_folders import dinov3_vit

pytestmark = pytest.mark.slow

OUT_OF_REACH = 0.9
"""No policy gains as much."""


def training(*, epochs: int, lr: float) -> TrainingConfig:
    return toy_selective_training(epochs=epochs, optimizer=AdamWConfig(lr_head=lr, lr_backbone=lr))


ARMS = (
    ArmConfig(name="frozen", adapter=FrozenBackboneConfig(), training=training(epochs=1, lr=1e-3)),
    ArmConfig(name="full", adapter=FullFineTuningConfig(), training=training(epochs=3, lr=3e-3)),
    ArmConfig(name="lora", adapter=LoraAdapterConfig(rank=2), training=training(epochs=1, lr=1e-3)),
)
"""The first and the last are left half done, so that the second is better by far."""


def adopting(pictures: Path, vit: Path) -> SharpnessConfig:
    """Over an incumbent that may only use a threshold far stricter than needed; gate and F-SAM ask for too much."""
    config = five_phases(
        pictures, dinov3_vit(vit), arms=ARMS, softmax=SoftmaxPolicyConfig(grid=FixedGrid(thresholds=(0.6,)))
    )
    strict = ComparisonConfig(min_coverage_gain=OUT_OF_REACH)
    adapted = config.previous
    choice = ArmChoiceConfig(
        min_seeds=2,
        max_augrc_loss=0.0005,
        max_accuracy_loss=0.3,
        max_mcc_loss=0.6,
        bootstrap=BootstrapConfig(level=0.5, resamples=200),
    )
    gated = adapted.previous.model_copy(update={"comparison": strict})
    better = ComparisonConfig(max_accuracy_loss=0.2, bootstrap=BootstrapConfig(level=0.9, resamples=400))
    adapted = adapted.model_copy(update={"previous": gated, "choice": choice, "comparison": better})
    return config.model_copy(update={"previous": adapted, "choice": ArmChoiceConfig(min_seeds=3)})


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, prefect_api: None, empty_tracking_store: Path
) -> LadderRun[SharpnessConfig]:
    place = tmp_path_factory.mktemp("five")
    config = adopting(draw_pictures(place / "pictures", 600, faint=0.2), place / "vit")
    return climb(lambda whole: sharpness(whole, return_state=True), config, place / "workspace", empty_tracking_store)


@pytest.fixture
def five_phases_run(finished: LadderRun[SharpnessConfig]) -> Iterator[LadderRun[SharpnessConfig]]:
    """Tests look at it and change nothing."""
    with working_in(finished.workspace):
        yield finished


@pytest.fixture
def again(finished: LadderRun[SharpnessConfig], tmp_path: Path) -> Iterator[LadderRun[SharpnessConfig]]:
    """A copy of the workspace, in which phase 4 can be repeated with another wish."""
    with copied(finished, tmp_path / "workspace") as run:
        yield run


def with_wish(config: SharpnessConfig, **changes: object) -> DomainAdaptationConfig:
    return config.previous.model_copy(update=changes)


class TestAnAdoptedBackbone:
    @pytest.fixture
    def bundle(self, five_phases_run) -> Path:
        return five_phases_run.released.run.folder / "bundle"

    def test_it_is_released(self, five_phases_run):
        assert five_phases_run.released.phase == "domain_adaptation"
        assert five_phases_run.released.registered.version == "3"
        assert looks(five_phases_run.workspace) == [*THREE_PHASES, CERTIFIED, OPENED]

    def test_the_bundle_passes_its_verification(self, bundle):
        report = verify_bundle(bundle)
        assert report.passed, report.summary()

    def test_the_bundle_holds_the_merged_backbone(self, five_phases_run, bundle):
        store = five_phases_run.workspace / "store"
        features = FeatureSet.from_json_file(store / five_phases_run.released.made.features.path / "features.json")
        merged = backbone_digest(saved_backbone_config(store / features.backbone.path))
        manifest = BundleManifest.from_json_file(bundle / "bundle.json")
        assert manifest.model.backbone.sha256 == features.backbone_digest == merged
        assert merged != backbone_digest(five_phases_run.config.backbone)

    def test_the_bundle_decides_as_the_evaluation_says(self, five_phases_run, bundle):
        store, made = five_phases_run.workspace / "store", five_phases_run.released.made
        seen = Predictions.load(store / made.evaluation.path / "predictions.npz")
        rows = SplitLedger.load(store / made.ledger.path).rows(Purpose.FINAL_EVALUATION)
        assert rows["id"].tolist() == seen.scores.ids.tolist()
        released = load_bundle(bundle)
        paths = [Path(path) for path in rows["path"]]
        np.testing.assert_allclose(released.scores(paths).logits, seen.scores.logits, atol=1e-5)
        expected = released.policy.decide(seen.scores)
        assert [decision.exited for decision in released.decide(paths)] == expected.exited.tolist()

    def test_what_was_stored_names_no_place(self, five_phases_run):
        store, made = five_phases_run.workspace / "store", five_phases_run.released.made
        record = five_phases_run.released.to_json() + (store / made.features.path / "features.json").read_text()
        assert str(five_phases_run.workspace) not in record
        assert str(five_phases_run.workspace) not in (store / made.comparison.path / "comparison.json").read_text()

    def test_no_file_of_the_bundle_names_the_workspace(self, five_phases_run, bundle):
        place = str(five_phases_run.workspace).encode()
        assert [path.name for path in bundle.rglob("*") if path.is_file() and place in path.read_bytes()] == []

    def test_the_acceptance_holds_every_report_that_was_passed_on_the_way(self, five_phases_run):
        report = AcceptanceReport.from_json_file(five_phases_run.released.run.folder / "acceptance.json")
        names = " | ".join(check.name for check in report.checks)
        for part in (
            "ExPLoRA changed only what it may",
            "lora: features move when it is merged",
            "difference in AUGRC to frozen",
            "gain in coverage over selective_evaluation",
            "the memory of every recipe was measured",
        ):
            assert part in names
        assert report.passed

    def test_the_judgement_can_be_read(self, five_phases_run):
        folder = five_phases_run.released.run.folder
        judgement = Judgement.from_json_file(folder / "arms.json")
        names = [arm.name for arm in judgement.comparison.arms]
        assert names[:3] == ["frozen", "full", "lora"]
        assert judgement.choice.chosen.removeprefix("explora-") == "full"
        assert "full" in (folder / "arms.html").read_text()
        assert AcceptanceReport.from_json_file(folder / "training.json").passed

    def test_mlflow_holds_what_every_arm_is_worth_and_costs(self, five_phases_run):
        metrics = mlflow_run("domain_adaptation").data.metrics
        judgement = Judgement.from_json_file(five_phases_run.released.run.folder / "arms.json")
        for arm in judgement.comparison.arms:
            assert metrics[f"{arm.name}/augrc"] == pytest.approx(arm.augrc.mean)
            assert metrics[f"{arm.name}/trainable_parameters"] == arm.cost.trainable_parameters
            assert metrics[f"{arm.name}/seconds"] > 0
            assert metrics[f"{arm.name}/peak_memory_mib"] > 0


class TestWhatWasTurnedDown:
    def test_the_last_phase_ends_with_what_stands_and_says_why(self, five_phases_run):
        assert (five_phases_run.state.is_completed(), five_phases_run.state.name) == (True, "NotAdopted")
        turned_down = five_phases_run.released.turned_down
        assert turned_down.report.phase == "f-sam instead of adamw"
        assert "2 of each arm, 3 needed" in turned_down.report.summary()
        assert mlflow_run("sharpness").info.status == "FINISHED"
        judgement = Judgement.from_json_file(turned_down.run.folder / "arms.json")
        assert [arm.name for arm in judgement.comparison.arms] == ["adamw", "f-sam"]

    def test_where_no_arm_is_chosen_no_held_out_row_is_looked_at(self, again, step_states):
        before = looks(again.workspace)
        state = domain_adaptation(with_wish(again.config, choice=ArmChoiceConfig(min_seeds=3)), return_state=True)
        assert state.name == "NotAdopted"
        found = state.result()
        assert found.phase == "selective_evaluation"
        assert found.turned_down.report.phase.endswith("instead of frozen")
        assert (found.turned_down.run.folder / "arms.html").is_file()
        assert looks(again.workspace) == before
        assert computed(step_states) == {"judge_recipes", "write_judgement"}

    def test_an_arm_that_does_not_beat_what_stands_opens_no_test_row(self, again, step_states):
        before = looks(again.workspace)
        strict = ComparisonConfig(min_coverage_gain=OUT_OF_REACH)
        state = domain_adaptation(with_wish(again.config, comparison=strict), return_state=True)
        assert state.name == "NotAdopted"
        assert "gain in coverage over selective_evaluation" in state.result().turned_down.report.summary()
        assert looks(again.workspace) == before  # its certificate was counted when it was adopted
        assert computed(step_states) == {"compare_policies", "judge_comparison", "write_comparison"}

    def test_a_merge_that_moves_features_rejects_the_phase(self, again):
        exact = DomainAdaptationAcceptance(max_merge_difference=1e-12)
        state = domain_adaptation(with_wish(again.config, acceptance=exact), return_state=True)
        assert (state.is_failed(), state.name) == (True, "Rejected")
        assert "features move" in state.message
        assert mlflow_run("domain_adaptation").info.status == "FAILED"


def test_five_phases_are_not_done_twice(again, step_states):
    before = looks(again.workspace)
    released = sharpness(again.config)
    assert computed(step_states) == set()
    assert {
        "pretrain_backbone",
        "train_arm",
        "check_adaptation",
        "check_challenger",
        "train_with",
    } <= step_states.keys()
    assert released.bundle == again.released.bundle
    assert looks(again.workspace) == before
