"""The recipe of the shipped backbone, at the size of a toy: rendered, taught, judged, and written or refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.demo_backbone import demo_backbone
from stage1_core.adaptation.demo_backbone import DemoBackboneConfig
from stage1_core.adaptation.distillation_config import DistillationConfig, StudentConfig
from stage1_core.adaptation.model_card import CARD_FILE, EPOCHS_FILE, PROBE_FILE, RECIPE_FILE, WEIGHTS_FILE
from stage1_core.adaptation.ranking_probe import RankingProbe
from stage1_core.data.road_scenes.description import RoadScenesConfig
from stage1_core.digests import digest_of_file
from stage1_core.errors import ModelError
from stage1_core.metrics.bootstrap import BootstrapConfig
from stage1_core.model.backbone import load_backbone
from stage1_core.model.backbone_config import RandomWeights, TimmBackboneConfig, TransformersBackboneConfig

pytestmark = pytest.mark.slow  # it really renders

TOY = DemoBackboneConfig(
    learn_from=RoadScenesConfig(pictures=24, seed=1, width=64, height=64),
    held_out=RoadScenesConfig(pictures=48, seed=0, width=64, height=64),
    teacher=TimmBackboneConfig(model="test_efficientnet", weights=RandomWeights()),
    student=StudentConfig(hidden=16, layers=1, heads=1, patch_px=16, input_px=32),
    distillation=DistillationConfig(epochs=2, basis_pictures=8, map_components=16),
    bootstrap=BootstrapConfig(resamples=100),
)
HOPELESS = TOY.model_copy(update={"max_megabytes": 0.001})


@pytest.fixture
def drives_of_the_module(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace, with rendered drives that all tests here share."""
    shared = tmp_path_factory.getbasetemp() / "demo_backbone_scenes"
    shared.mkdir(exist_ok=True)
    (workspace / "scenes").symlink_to(shared)
    return workspace


def test_what_is_not_accepted_is_not_written(drives_of_the_module: Path, tmp_path: Path):
    state = demo_backbone(HOPELESS, tmp_path / "shipped", return_state=True)

    assert (state.type.value, state.name) == ("FAILED", "Rejected")
    assert "megabytes of weights" in state.message
    assert not (tmp_path / "shipped").exists()


def test_what_is_written_is_a_backbone_with_its_card_numbers_and_recipe(drives_of_the_module, tmp_path, monkeypatch):
    # Random networks on 24 pictures are as good as each other: only what follows an acceptance is of interest here.
    monkeypatch.setattr("flows.demo_backbone.require_accepted", lambda acceptance: None)
    folder = tmp_path / "shipped"

    demo_backbone(TOY, folder)

    with_processor = {"config.json", "preprocessor_config.json", "model.safetensors"}
    assert {path.name for path in folder.iterdir()} == with_processor | {
        CARD_FILE,
        PROBE_FILE,
        RECIPE_FILE,
        EPOCHS_FILE,
    }
    assert load_backbone(TransformersBackboneConfig(model=str(folder)), device="cpu").hidden == 16
    assert DemoBackboneConfig.from_json_file(folder / RECIPE_FILE) == TOY
    assert RankingProbe.from_json_file(folder / PROBE_FILE).pictures > 0
    assert digest_of_file(folder / WEIGHTS_FILE) in (folder / CARD_FILE).read_text()
    assert len((folder / EPOCHS_FILE).read_text().splitlines()) == 2


def test_a_folder_that_holds_something_else_is_left_alone(workspace, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ModelError, match="holds something else"):
        demo_backbone(TOY, tmp_path)
    assert (tmp_path / "thesis.txt").exists()
