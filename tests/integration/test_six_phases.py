"""The whole ladder on little pictures: SCRC takes the place of a release that lets less exit, and of no other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from flows.conformal import conformal
from flows.ladder import ladder
from stage1_core.acceptance import AcceptanceReport
from stage1_core.adaptation.arm import ArmConfig
from stage1_core.bundle.runtime import load_bundle
from stage1_core.bundle.verify import verify_bundle
from stage1_core.data.ledger import SplitLedger
from stage1_core.model.adapters.config import FrozenBackboneConfig, LoraAdapterConfig
from stage1_core.phases.conformal import ConformalAcceptance, ConformalConfig
from stage1_core.phases.ladder import LadderConfig
from stage1_core.policy import ScrcPolicy, SoftmaxPolicyConfig
from stage1_core.policy.arm_choice import ArmChoiceConfig
from stage1_core.policy.comparison import ComparisonConfig
from stage1_core.policy.softmax import FixedGrid
from stage1_core.predictions import Predictions
from stage1_core.splits import Purpose
from tasks.arms import Judgement
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
from tests.integration.toys import draw_pictures, five_phases, six_phases, toy_selective_training
from tests.model.backbone_folders import dinov3_vit

pytestmark = pytest.mark.slow

OUT_OF_REACH = 0.9
"""No policy gains as much."""


def little_training() -> tuple[ArmConfig, ...]:
    """A backbone that is hardly trained."""
    training = toy_selective_training(epochs=1)
    return (
        ArmConfig(name="frozen", adapter=FrozenBackboneConfig(), training=training),
        ArmConfig(name="lora", adapter=LoraAdapterConfig(rank=2), training=training),
    )


def adopting(pictures: Path, vit: Path) -> ConformalConfig:
    """Over an incumbent that may only use a threshold far stricter than needed; all between ask for too much."""
    strict = SoftmaxPolicyConfig(grid=FixedGrid(thresholds=(0.6,)))
    below = five_phases(pictures, dinov3_vit(vit), arms=little_training(), softmax=strict)
    never = ArmChoiceConfig(min_seeds=3)
    adapted = below.previous
    gated = adapted.previous.model_copy(update={"comparison": ComparisonConfig(min_coverage_gain=OUT_OF_REACH)})
    adapted = adapted.model_copy(update={"previous": gated, "choice": never})
    return six_phases(below.model_copy(update={"previous": adapted, "choice": never}))


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, prefect_api: None, empty_tracking_store: Path
) -> LadderRun[ConformalConfig]:
    place = tmp_path_factory.mktemp("six")
    config = adopting(draw_pictures(place / "pictures", 600, faint=0.2), place / "vit")
    return climb(
        lambda top: ladder(LadderConfig(top=top), return_state=True), config, place / "workspace", empty_tracking_store
    )


@pytest.fixture
def six_phases_run(finished: LadderRun[ConformalConfig]) -> Iterator[LadderRun[ConformalConfig]]:
    """Tests look at it and change nothing."""
    with working_in(finished.workspace):
        yield finished


@pytest.fixture
def again(finished: LadderRun[ConformalConfig], tmp_path: Path) -> Iterator[LadderRun[ConformalConfig]]:
    """A copy of the workspace, in which phase 6 can be repeated with another wish."""
    with copied(finished, tmp_path / "workspace") as run:
        yield run


class TestAnAdoptedPolicy:
    @pytest.fixture
    def bundle(self, six_phases_run) -> Path:
        return six_phases_run.released.run.folder / "bundle"

    @pytest.fixture
    def policy(self, six_phases_run) -> ScrcPolicy:
        return ScrcPolicy.from_json_file(six_phases_run.released.run.folder / "policy.json")

    def test_it_is_released(self, six_phases_run):
        assert six_phases_run.released.phase == "conformal"
        assert six_phases_run.released.registered.version == "3"
        assert looks(six_phases_run.workspace) == [*THREE_PHASES, CERTIFIED, OPENED]

    def test_the_bundle_passes_its_verification(self, bundle):
        report = verify_bundle(bundle)
        assert report.passed, report.summary()
        assert (bundle / "scrcparams.json").is_file()

    def test_the_bundle_decides_as_the_evaluation_says(self, six_phases_run, bundle):
        store, made = six_phases_run.workspace / "store", six_phases_run.released.made
        seen = Predictions.load(store / made.evaluation.path / "predictions.npz")
        rows = SplitLedger.load(store / made.ledger.path).rows(Purpose.FINAL_EVALUATION)
        assert rows["id"].tolist() == seen.scores.ids.tolist()
        released = load_bundle(bundle)
        paths = [Path(path) for path in rows["path"]]
        np.testing.assert_allclose(released.scores(paths).logits, seen.scores.logits, atol=1e-5)
        expected = released.policy.decide(seen.scores)
        assert [decision.exited for decision in released.decide(paths)] == expected.exited.tolist()

    def test_the_plain_head_may_be_chosen_and_carries_the_policy(self, six_phases_run, policy):
        judgement = Judgement.from_json_file(six_phases_run.released.run.folder / "arms.json")
        assert [arm.name for arm in judgement.comparison.arms] == ["plain", "conformal-risk"]
        assert judgement.choice.chosen == "plain"
        assert policy.selector.signal == "gate"

    def test_the_acceptance_holds_what_the_method_adds_and_what_every_challenger_must_prove(self, six_phases_run):
        report = AcceptanceReport.from_json_file(six_phases_run.released.run.folder / "acceptance.json")
        names = " | ".join(check.name for check in report.checks)
        for part in (
            "certified fnr_on_exited",
            "conformal-risk: with every seed the NLL",
            "rise of the NLL by calibration",
            "prediction sets on the certifying rows",
            "SCRC-I's own promise",
            "SCRC-T's sets for the final_evaluation rows",
            "gain in coverage over selective_evaluation",
            "the memory of every recipe was measured",
        ):
            assert part in names
        assert report.passed
        assert "enough seeds" not in names, "nobody had to be better than the plain recipe"

    def test_no_less_exits_than_before(self, six_phases_run):
        report = AcceptanceReport.from_json_file(six_phases_run.released.run.folder / "adoption.json")
        (gain,) = [check for check in report.checks if check.name.startswith("gain in coverage")]
        assert gain.bound == 0 <= gain.value

    def test_mlflow_holds_what_both_recipes_are_worth_and_cost(self, six_phases_run):
        metrics = mlflow_run("conformal").data.metrics
        judgement = Judgement.from_json_file(six_phases_run.released.run.folder / "arms.json")
        for arm in judgement.comparison.arms:
            assert metrics[f"{arm.name}/augrc"] == pytest.approx(arm.augrc.mean)
            assert metrics[f"{arm.name}/seconds"] > 0


class TestAPolicyThatIsTurnedDown:
    def test_what_stands_goes_on_and_the_report_says_which_policy_won(self, again, step_states):
        before = looks(again.workspace)
        strict = again.config.comparison.model_copy(update={"min_coverage_gain": OUT_OF_REACH})
        state = conformal(again.config.model_copy(update={"comparison": strict}), return_state=True)
        assert (state.is_completed(), state.name) == (True, "NotAdopted")
        found = state.result()
        assert found.phase == "selective_evaluation"
        assert found.turned_down.report.phase == "scrc instead of selective_evaluation"
        assert "gain in coverage over selective_evaluation (lower end" in found.turned_down.report.summary()
        assert (found.turned_down.run.folder / "comparison.html").is_file()
        assert mlflow_run("conformal").info.status == "FINISHED"
        assert looks(again.workspace) == before  # its certificate was counted when it was adopted
        assert computed(step_states) == {"compare_policies", "judge_comparison", "write_comparison"}

    def test_a_calibration_that_leaves_too_much_error_rejects_the_phase(self, again):
        exact = ConformalAcceptance(max_ece=0.0, max_nll_increase=0.1)
        state = conformal(again.config.model_copy(update={"acceptance": exact}), return_state=True)
        assert (state.is_failed(), state.name) == (True, "Rejected")
        assert "calibration error of the classes" in state.message
        assert mlflow_run("conformal").info.status == "FAILED"


def test_six_phases_are_not_done_twice(again, step_states):
    before = looks(again.workspace)
    released = ladder(LadderConfig(top=again.config))
    assert computed(step_states) == set()
    assert {"pretrain_backbone", "train_arm", "train_with", "check_conformal", "check_challenger"} <= step_states.keys()
    assert released.bundle == again.released.bundle
    assert looks(again.workspace) == before
