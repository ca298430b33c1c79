"""The backbone inside the package is whole, small, and what its card says."""

from __future__ import annotations

import json

import pytest
import torch

from stage1_core.adaptation.demo_backbone import STUDENT, TEACHER, DemoBackboneConfig, demo_backbone_report
from stage1_core.adaptation.model_card import CARD_FILE, PROBE_FILE, RECIPE_FILE, WEIGHTS_FILE, write_model_card
from stage1_core.adaptation.ranking_probe import RankingProbe
from stage1_core.digests import digest_of_file
from stage1_core.errors import ModelError
from stage1_core.model.backbone import load_backbone
from stage1_core.model.backbone_config import ROAD_SCENES_VIT, TransformersBackboneConfig
from stage1_core.model.licence import licence_notice
from stage1_core.model.weights import backbone_digest, transformers_folder

FOLDER = transformers_folder(ROAD_SCENES_VIT)


def test_it_loads_without_a_hub_and_gives_the_same_features_each_time():
    pixels = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))

    with torch.inference_mode():
        first, second = (load_backbone(ROAD_SCENES_VIT, device="cpu")(pixels) for _ in range(2))

    assert first.shape == (2, 192)
    assert torch.equal(first, second)
    assert not torch.allclose(first[0], first[1])


def test_its_numbers_are_single_precision_once_loaded():
    backbone = load_backbone(ROAD_SCENES_VIT, device="cpu")

    assert {value.dtype for value in backbone.parameters()} == {torch.float32}
    assert (backbone.hidden, backbone.input_size, backbone.has_patch_tokens) == (192, (128, 128), True)


def test_it_is_of_dinov3s_architecture_with_four_registers():
    settings = json.loads((FOLDER / "config.json").read_bytes())

    assert (settings["model_type"], settings["num_register_tokens"], settings["patch_size"]) == ("dinov3_vit", 4, 16)


def test_its_weights_are_below_twelve_megabytes():
    assert (FOLDER / WEIGHTS_FILE).stat().st_size < 12e6


def test_its_card_is_what_its_probe_recipe_and_weights_say(tmp_path):
    config = DemoBackboneConfig.from_json_file(FOLDER / RECIPE_FILE)
    probe = RankingProbe.from_json_file(FOLDER / PROBE_FILE)
    (tmp_path / WEIGHTS_FILE).write_bytes((FOLDER / WEIGHTS_FILE).read_bytes())

    write_model_card(config, probe, tmp_path)

    card = (FOLDER / CARD_FILE).read_text()
    assert card == (tmp_path / CARD_FILE).read_text()
    assert digest_of_file(FOLDER / WEIGHTS_FILE) in card
    assert f"{probe.areas[STUDENT].value:.3f}" in card
    assert f"{probe.areas[TEACHER].value:.3f}" in card


def test_its_recipe_is_the_flows_default_and_its_probe_was_accepted():
    probe = RankingProbe.from_json_file(FOLDER / PROBE_FILE)
    megabytes = (FOLDER / WEIGHTS_FILE).stat().st_size / 1e6

    assert DemoBackboneConfig.from_json_file(FOLDER / RECIPE_FILE) == DemoBackboneConfig()
    assert demo_backbone_report(DemoBackboneConfig(), probe, megabytes).passed


def test_its_licence_is_the_projects_own():
    notice = licence_notice(ROAD_SCENES_VIT)

    assert notice.startswith("shipped:road_scenes_vit: Apache License 2.0")


def test_where_the_package_lies_does_not_change_its_digest():
    assert backbone_digest(ROAD_SCENES_VIT) == backbone_digest(TransformersBackboneConfig(model=str(FOLDER)))


def test_a_name_that_is_not_shipped_is_answered_with_those_that_are():
    with pytest.raises(ModelError, match="no backbone 'road_scene'; it has: road_scenes_vit"):
        load_backbone(TransformersBackboneConfig(model="shipped:road_scene"), device="cpu")
