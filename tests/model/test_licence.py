from __future__ import annotations

import re
from pathlib import Path

import pytest

from stage1_core.model.backbone_config import (
    EFFICIENTNET_LITE0,
    FileWeights,
    RandomWeights,
    TimmBackboneConfig,
    TransformersBackboneConfig,
)
from stage1_core.model.licence import licence_notice
from tests.model.backbone_folders import dinov2, dinov3_convnext, dinov3_vit

DINOV3 = [
    TransformersBackboneConfig(model="facebook/dinov3-vith16plus-pretrain-lvd1689m"),
    TimmBackboneConfig(model="vit_small_patch16_dinov3.lvd1689m"),
    TimmBackboneConfig(model="convnext_tiny.dinov3_lvd1689m", weights=FileWeights(path="w.safetensors")),
]
APACHE = [
    EFFICIENTNET_LITE0,
    TransformersBackboneConfig(model="facebook/dinov2-with-registers-small"),
    TimmBackboneConfig(model="vit_small_patch14_dinov2.lvd142m"),
    TimmBackboneConfig(model="test_vit"),
]
UNKNOWN = [
    TimmBackboneConfig(model="test_vit", weights=FileWeights(path="mine.safetensors")),
    TransformersBackboneConfig(model="someone/something"),
    TimmBackboneConfig(model="nosuch_model"),
]


@pytest.mark.parametrize("config", DINOV3, ids=lambda config: config.model)
def test_dinov3_asks_for_its_own_agreement(config):
    notice = licence_notice(config)

    assert "DINOv3 License" in notice
    assert "same agreement" in notice.replace("\n", " ")


@pytest.mark.parametrize("config", APACHE, ids=lambda config: config.model)
def test_apache_licensed_weights_say_so(config):
    assert "Apache License 2.0" in licence_notice(config)


@pytest.mark.parametrize("config", UNKNOWN, ids=lambda config: config.model)
def test_weights_of_unknown_origin_claim_nothing(config):
    assert "not known" in licence_notice(config)


def test_other_registered_licences_are_named():
    assert '"cc-by-nc-4.0"' in licence_notice(TimmBackboneConfig(model="convnextv2_tiny.fcmae_ft_in1k"))


def test_untrained_weights_have_no_licence_of_others():
    notice = licence_notice(TimmBackboneConfig(model="vit_small_patch16_dinov3", weights=RandomWeights()))

    assert "untrained" in notice


@pytest.mark.parametrize(("make", "name"), [(dinov3_vit, "DINOv3"), (dinov3_convnext, "DINOv3"), (dinov2, "Apache")])
def test_a_local_folder_goes_by_its_model_type_and_shows_no_path(tmp_path: Path, make, name):
    notice = licence_notice(make(tmp_path / "my_backbone"))

    assert name in notice
    assert notice.startswith("my_backbone: ")
    assert str(tmp_path) not in notice


@pytest.mark.parametrize("config", DINOV3 + APACHE + UNKNOWN, ids=lambda config: config.model)
def test_notices_hold_no_links_and_end_in_a_newline(config):
    notice = licence_notice(config)

    assert not re.search(r"https?:|www\.", notice)
    assert notice.endswith("\n")
    assert max(map(len, notice.splitlines())) <= 120
