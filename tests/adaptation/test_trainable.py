from __future__ import annotations

import pytest
import torch
from transformers import DINOv3ViTConfig, DINOv3ViTImageProcessor, DINOv3ViTModel

from stage1_core.adaptation.config import TrainablePartConfig
from stage1_core.adaptation.trainable import adapted, changed_wrongly, changes, may_change, merged
from stage1_core.errors import ModelError
from stage1_core.model.backbone import load_backbone, save_backbone
from stage1_core.model.backbone_config import TransformersBackboneConfig
from tests.adaptation.toys import PIXELS, moved
from tests.model.backbone_folders import VIT, dinov2, dinov3_vit, dinov3_vit_gated

RANK = 4
CONFIG = TrainablePartConfig(rank=RANK, alpha=8)
NORMS = {
    f"{norm}.{part}"
    for norm in ("model.layer.0.norm1", "model.layer.0.norm2", "model.layer.1.norm1", "model.layer.1.norm2", "norm")
    for part in ("weight", "bias")
}
LAST_BLOCK = {
    f"model.layer.1.{name}"
    for name in (
        "attention.k_proj.weight",
        "attention.v_proj.weight",
        "attention.v_proj.bias",
        "attention.q_proj.weight",
        "attention.q_proj.bias",
        "attention.o_proj.weight",
        "attention.o_proj.bias",
        "layer_scale1.lambda1",
        "mlp.up_proj.weight",
        "mlp.up_proj.bias",
        "mlp.down_proj.weight",
        "mlp.down_proj.bias",
        "layer_scale2.lambda1",
    )
}
LORA = {
    f"model.layer.0.attention.{target}.lora_{factor}.default.weight"
    for target in ("q_proj", "v_proj")
    for factor in "AB"
}


def trainable(backbone):
    return {name: value for name, value in backbone.network.named_parameters() if value.requires_grad}


def test_exactly_these_parameters_are_trainable(backbone):
    changed, names = adapted(backbone, CONFIG)

    assert set(names.lora) == LORA
    assert set(names.blocks) == LAST_BLOCK
    assert set(names.norms) == NORMS
    assert set(names.mask_token) == {"embeddings.mask_token"}
    assert trainable(changed).keys() == names.all == LORA | LAST_BLOCK | NORMS | {"embeddings.mask_token"}


def test_they_are_this_many_numbers(backbone):
    hidden, mlp = 32, 64
    changed, _ = adapted(backbone, CONFIG)
    block = 4 * hidden * hidden + 3 * hidden + 2 * hidden * mlp + mlp + hidden + 2 * hidden
    lora, norms, mask_token = 2 * RANK * 2 * hidden, 5 * 2 * hidden, hidden

    assert sum(value.numel() for value in trainable(changed).values()) == block + lora + norms + mask_token


def test_the_change_begins_at_nothing_and_the_original_is_not_touched(backbone):
    before = {name: value.clone() for name, value in backbone.network.state_dict().items()}
    features = backbone(PIXELS)
    changed, _ = adapted(backbone, CONFIG)

    assert torch.equal(changed(PIXELS), features)
    assert not trainable(backbone)
    assert all(torch.equal(value, before[name]) for name, value in backbone.network.state_dict().items())
    assert changes(backbone, merged(backbone, changed)) == frozenset()


def test_an_adapted_backbone_stays_in_evaluation_mode_and_gives_the_same_features_twice(backbone):
    changed, _ = moved(backbone)
    changed.train()

    assert not any(module.training for module in changed.modules())
    assert torch.equal(changed(PIXELS), changed(PIXELS))


@pytest.mark.parametrize("make", [dinov3_vit, dinov3_vit_gated, dinov2], ids=lambda make: make.__name__)
def test_merging_changes_no_feature_and_no_name(make, tmp_path):
    backbone = load_backbone(make(tmp_path), device="cpu")
    changed, _ = moved(backbone)
    plain = merged(backbone, changed)

    assert (plain(PIXELS) - changed(PIXELS)).abs().max() < 1e-5
    assert (plain(PIXELS) - backbone(PIXELS)).abs().max() > 1e-2
    assert list(plain.network.state_dict()) == list(backbone.network.state_dict())
    assert not any(parameter.requires_grad for parameter in plain.parameters())


@pytest.mark.parametrize("make", [dinov3_vit, dinov3_vit_gated, dinov2], ids=lambda make: make.__name__)
def test_what_may_change_is_what_changes_when_everything_trainable_does(make, tmp_path):
    backbone = load_backbone(make(tmp_path), device="cpu")

    assert changes(backbone, merged(backbone, moved(backbone)[0])) == may_change(backbone, CONFIG)


def test_keys_mlps_embeddings_and_registers_of_the_earlier_blocks_may_not_change(backbone):
    frozen = set(backbone.network.state_dict()) - may_change(backbone, CONFIG)

    assert frozen == {
        "embeddings.cls_token",
        "embeddings.register_tokens",
        "embeddings.patch_embeddings.weight",
        "embeddings.patch_embeddings.bias",
        *(name.replace("layer.1", "layer.0") for name in LAST_BLOCK),
    } - {f"model.layer.0.attention.{target}.weight" for target in ("q_proj", "v_proj")}


def test_a_merged_backbone_is_saved_and_loaded_as_any_other(backbone, tmp_path):
    plain = merged(backbone, moved(backbone)[0])
    again = load_backbone(save_backbone(plain, tmp_path / "backbone_explora"), device="cpu")

    assert torch.equal(again(PIXELS), plain(PIXELS))
    assert changes(plain, again) == frozenset()


def test_a_change_of_one_bit_is_seen(backbone):
    other = merged(backbone, adapted(backbone, CONFIG)[0])
    with torch.no_grad():
        weight = other.network.get_parameter("embeddings.cls_token")
        weight[0, 0, 3] = torch.nextafter(weight[0, 0, 3], torch.tensor(9.0))

    assert changes(backbone, other) == {"embeddings.cls_token"}


def test_with_two_unfrozen_blocks_of_three_the_first_gets_the_low_rank_changes(tmp_path):
    DINOv3ViTModel(DINOv3ViTConfig(**(VIT | {"num_hidden_layers": 3}), intermediate_size=64)).save_pretrained(tmp_path)
    DINOv3ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    backbone = load_backbone(TransformersBackboneConfig(model=str(tmp_path)), device="cpu")
    _, names = adapted(backbone, TrainablePartConfig(unfrozen_blocks=2))

    assert set(names.lora) == LORA
    assert {name.split(".")[2] for name in names.blocks} == {"1", "2"}


def test_unfreezing_all_blocks_is_refused(backbone):
    with pytest.raises(ModelError, match="a network of 2 blocks leaves none beside 2 unfrozen ones"):
        adapted(backbone, TrainablePartConfig(unfrozen_blocks=2))


def test_backbones_of_different_architectures_are_not_compared(backbone, tmp_path):
    with pytest.raises(ModelError, match="different architectures"):
        changes(backbone, load_backbone(dinov3_vit_gated(tmp_path), device="cpu"))


def test_what_may_change_is_no_wrong_change(backbone):
    changed, _ = moved(backbone)
    assert changed_wrongly(backbone, changed, merged(backbone, changed), CONFIG) == frozenset()


@pytest.mark.parametrize(
    ("drifting", "named"),
    [
        ("embeddings.cls_token", "embeddings.cls_token"),
        ("model.layer.0.mlp.up_proj.weight", "model.layer.0.mlp.up_proj.weight"),
        ("model.layer.0.attention.q_proj.base_layer.weight", "model.layer.0.attention.q_proj.weight"),
    ],
)
def test_a_frozen_tensor_that_is_another_is_named_also_beneath_a_low_rank_change(backbone, drifting, named):
    changed, _ = moved(backbone)
    with torch.no_grad():
        changed.network.get_parameter(drifting).add_(0.5)
    assert changed_wrongly(backbone, changed, merged(backbone, changed), CONFIG) == {named}
