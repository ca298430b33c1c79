from __future__ import annotations

import json

import pytest
import torch
from peft import PeftModel

from stage1_core.digests import digest_of_file
from stage1_core.errors import ModelError, Stage1Error
from stage1_core.model.adapters.adapted import adapt, merge
from stage1_core.model.adapters.config import (
    DoraAdapterConfig,
    DoranAdapterConfig,
    FrozenBackboneConfig,
    LoraAdapterConfig,
)
from stage1_core.model.adapters.files import DESCRIPTION_FILE, WEIGHTS_FILE, load_adapter, save_adapter
from tests.model.adapters.backbones import LOW_RANK, trained


@pytest.fixture
def backbone(backbone_of):
    return backbone_of("dinov3")


@pytest.fixture
def doran(backbone, tmp_path):
    save_adapter(trained(adapt(backbone, DoranAdapterConfig(), seed=0)), tmp_path / "doran")
    return tmp_path / "doran"


def described_as(folder, **changes):
    path = folder / DESCRIPTION_FILE
    content = json.loads(path.read_bytes())
    path.write_text(json.dumps(content | changes))


def as_json(config):
    return config.model_dump(mode="json")


@pytest.mark.parametrize("claimed", [DoraAdapterConfig(), LoraAdapterConfig(), DoranAdapterConfig(rank=4)])
def test_a_doran_is_not_loaded_as_anything_else(backbone, doran, claimed):
    described_as(doran, adapter=as_json(claimed))
    with pytest.raises(ModelError, match=f"as {claimed.kind}, does not fit"):
        load_adapter(backbone, doran)


def test_a_dora_is_not_loaded_as_a_doran(backbone, tmp_path):
    save_adapter(adapt(backbone, DoraAdapterConfig(), seed=0), tmp_path)
    described_as(tmp_path, adapter=as_json(DoranAdapterConfig()))
    with pytest.raises(ModelError, match=r"as doran, does not fit in 4 tensors.*raw_tau"):
        load_adapter(backbone, tmp_path)


@pytest.mark.parametrize("config", LOW_RANK, ids=lambda config: config.kind)
def test_peft_itself_finds_nothing_that_it_could_take_for_one_of_its_own(backbone, tmp_path, config):
    save_adapter(adapt(backbone, config, seed=0), tmp_path)
    with pytest.raises(ValueError, match=r"adapter_config\.json"):
        PeftModel.from_pretrained(backbone.network, str(tmp_path))


def test_another_backbone_is_refused(doran, backbone_of):
    with pytest.raises(ModelError, match="trained on a backbone with other weights"):
        load_adapter(backbone_of("dinov3_gated"), doran)


def test_one_weight_that_differs_makes_another_backbone(backbone, doran):
    other = merge(adapt(backbone, FrozenBackboneConfig(), seed=0))
    load_adapter(other, doran)
    with torch.no_grad():
        other.network.norm.bias[3] += 1e-6
    with pytest.raises(ModelError, match="trained on a backbone with other weights"):
        load_adapter(other, doran)


def test_changed_or_missing_weights_are_refused(backbone, doran):
    path = doran / WEIGHTS_FILE
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ModelError, match="was changed after it was written"):
        load_adapter(backbone, doran)
    path.unlink()
    with pytest.raises(ModelError, match="is missing"):
        load_adapter(backbone, doran)


def test_a_file_that_is_no_safetensors_is_refused(backbone, doran):
    (doran / WEIGHTS_FILE).write_bytes(b"\x80\x04N.")
    described_as(doran, weights_sha256=digest_of_file(doran / WEIGHTS_FILE))
    with pytest.raises(ModelError, match="not a whole safetensors file"):
        load_adapter(backbone, doran)


def test_a_folder_without_a_description_is_refused(backbone, tmp_path):
    with pytest.raises(Stage1Error, match=r"adapter\.json does not exist"):
        load_adapter(backbone, tmp_path)
