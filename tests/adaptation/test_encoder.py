from __future__ import annotations

import pytest
import torch

from stage1_core.adaptation.encoder import VisionTransformer
from stage1_core.adaptation.masking import block_mask
from stage1_core.errors import ModelError
from stage1_core.model.backbone import load_backbone
from tests.adaptation.toys import PIXELS, moved, tokens
from tests.model.backbone_folders import (
    dinov2,
    dinov2_with_registers,
    dinov3_convnext,
    dinov3_vit,
    dinov3_vit_gated,
    timm_vit,
)

PATCHES = 16
FAMILY = pytest.mark.parametrize(
    "make", [dinov3_vit, dinov3_vit_gated, dinov2, dinov2_with_registers], ids=lambda make: make.__name__
)
"""All architectures that extended pretraining knows."""


@pytest.fixture(params=["as loaded", "adapted"])
def transformer(request, make, tmp_path):
    """Of the backbone as it was loaded, and of an adapted one whose weights have changed."""
    loaded = load_backbone(make(tmp_path), device="cpu")
    backbone = loaded if request.param == "as loaded" else moved(loaded)[0]
    return VisionTransformer.of(backbone)


def every_patch(order=None):
    return (torch.arange(PATCHES) if order is None else order).expand(len(PIXELS), -1)


@FAMILY
def test_leaving_out_nothing_is_the_forward_pass_of_the_model(transformer):
    normalised = transformer.normalised(PIXELS)

    assert torch.equal(transformer.tokens_of(normalised, every_patch()), transformer.tokens(normalised))


@FAMILY
def test_patches_in_another_order_give_the_same_tokens_in_that_order(transformer):
    normalised = transformer.normalised(PIXELS)
    order = torch.randperm(PATCHES, generator=torch.Generator().manual_seed(0))
    shuffled = transformer.tokens_of(normalised, every_patch(order))
    plain = transformer.tokens(normalised)
    prefix = transformer.prefix

    assert (shuffled[:, :prefix] - plain[:, :prefix]).abs().max() < 1e-6
    assert (shuffled[:, prefix:] - plain[:, prefix:][:, order]).abs().max() < 1e-6


@FAMILY
def test_patches_that_are_left_out_do_not_reach_the_others(transformer):
    keep = torch.tensor([[0, 5, 9, 15]]).expand(len(PIXELS), -1)
    masked = torch.ones(len(PIXELS), PATCHES, dtype=torch.bool).scatter(1, keep, False)
    found = transformer.tokens_of(transformer.normalised(PIXELS), keep)
    others = transformer.tokens_of(transformer.normalised(repainted(PIXELS, masked)), keep)

    assert found.shape == (len(PIXELS), transformer.prefix + 4, transformer.hidden)
    assert torch.equal(found, others)


@FAMILY
def test_masked_pixels_do_not_reach_any_token(transformer):
    masked = block_mask(len(PIXELS), (4, 4), fraction=0.5, block=2, generator=torch.Generator().manual_seed(0))
    found, others = (
        transformer.tokens(transformer.normalised(pixels), masked) for pixels in (PIXELS, repainted(PIXELS, masked))
    )

    assert torch.equal(found, others)
    assert not torch.equal(found, transformer.tokens(transformer.normalised(PIXELS)))


@FAMILY
def test_the_class_token_is_what_the_backbone_gives_as_features(make, tmp_path):
    backbone = load_backbone(make(tmp_path), device="cpu")

    found, prefix = tokens(backbone, PIXELS), VisionTransformer.of(backbone).prefix

    assert torch.equal(found[:, 0], backbone(PIXELS))
    assert torch.equal(found[:, prefix:], backbone.patch_tokens(PIXELS))


@pytest.mark.parametrize("make", [dinov3_convnext, timm_vit], ids=lambda make: make.__name__)
def test_other_architectures_are_refused_by_name(make, tmp_path):
    backbone = load_backbone(make(tmp_path / "model"), device="cpu")

    with pytest.raises(ModelError, match=r"extended pretraining knows dinov3_vit, dinov2, dinov2_with_registers"):
        VisionTransformer.of(backbone)


def test_pictures_that_do_not_consist_of_whole_patches_are_refused(backbone):
    with pytest.raises(ModelError, match="32 x 30 pixels do not consist of whole patches of 8"):
        VisionTransformer.of(backbone).grid(torch.zeros(1, 3, 32, 30))


def repainted(pixels, masked):
    """``pixels`` with other ones in the masked patches."""
    where = masked.view(-1, 1, 4, 4).repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)
    return torch.where(where, 1 - pixels, pixels)
