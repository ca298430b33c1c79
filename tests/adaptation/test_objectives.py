from __future__ import annotations

import pytest
import torch

from stage1_core.adaptation import masked_autoencoder, simmim
from stage1_core.adaptation.config import FeatureDistillation, MaskedAutoencoder, SimMim
from stage1_core.adaptation.encoder import VisionTransformer
from stage1_core.adaptation.feature_distillation import feature_loss
from stage1_core.adaptation.learner import build_objective
from stage1_core.adaptation.masked_autoencoder import places
from stage1_core.adaptation.masking import block_mask
from stage1_core.adaptation.reconstruction import patch_pixels
from tests.adaptation.toys import OBJECTIVES, PIXELS, moved

EVERY = pytest.mark.parametrize("config", OBJECTIVES, ids=lambda config: config.kind)


def draws(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def generator():
    return torch.Generator().manual_seed(3)


MASKED = block_mask(3, (4, 4), fraction=0.5, block=1, generator=generator())


@pytest.mark.parametrize("loss", [simmim.drawing_loss, masked_autoencoder.drawing_loss])
def test_only_masked_patches_count_in_a_drawing(loss):
    drawn, target = draws(3, 16, 12), draws(3, 16, 12, seed=1)
    elsewhere, inside = (where[..., None] * draws(3, 16, 12, seed=2) for where in (~MASKED, MASKED))

    assert torch.equal(loss(drawn, target + elsewhere, MASKED), loss(drawn, target, MASKED))
    assert not torch.equal(loss(drawn, target + inside, MASKED), loss(drawn, target, MASKED))


def test_the_losses_are_the_mean_errors_of_numbers_of_masked_patches():
    drawn, target = draws(3, 16, 12), draws(3, 16, 12, seed=1)
    error = (drawn - target)[MASKED]

    assert simmim.drawing_loss(drawn, target, MASKED) == pytest.approx(error.abs().mean().item())
    assert masked_autoencoder.drawing_loss(drawn, target, MASKED) == pytest.approx((error**2).mean().item())


def test_only_masked_patches_and_the_class_token_count_in_features():
    found, target = draws(3, 21, 8), draws(3, 21, 8, seed=1)
    prefix = torch.tensor([True, False, False, False, False]).expand(3, -1)
    counts = torch.cat([prefix, MASKED], dim=1)[..., None]
    plain = feature_loss(found, target, MASKED, class_token_weight=1.0)
    other = draws(3, 21, 8, seed=2)

    elsewhere, inside = torch.where(counts, target, other), torch.where(counts, other, target)

    assert torch.equal(feature_loss(found, elsewhere, MASKED, class_token_weight=1.0), plain)
    assert not torch.equal(feature_loss(found, inside, MASKED, class_token_weight=1.0), plain)


def test_equal_features_cost_nothing_and_opposite_ones_two_for_each_part():
    target = draws(3, 21, 8)

    assert feature_loss(3 * target, target, MASKED, class_token_weight=2.0) == pytest.approx(0, abs=1e-6)
    assert feature_loss(-target, target, MASKED, class_token_weight=2.0) == pytest.approx(2 + 2 * 2)
    assert feature_loss(-target, target, MASKED, class_token_weight=0.0) == pytest.approx(2)


def test_patches_are_cut_in_the_order_of_the_tokens_and_normalised_one_by_one():
    patches = patch_pixels(PIXELS, 8)
    third_of_second_row = PIXELS[:, :, 8:16, 16:24].flatten(1)

    assert patches.shape == (3, 16, 3 * 8 * 8)
    assert patches.mean(dim=-1).abs().max() < 1e-6
    assert (patches.var(dim=-1) - 1).abs().max() < 1e-4
    expected = (third_of_second_row - third_of_second_row.mean(1, True)) / third_of_second_row.std(1, keepdim=True)
    assert (patches[:, 4 + 2] - expected).abs().max() < 1e-4


def test_a_patch_of_one_colour_has_the_target_zero():
    assert torch.equal(patch_pixels(torch.full((1, 3, 16, 16), 0.5), 8), torch.zeros(1, 4, 192))


def test_every_place_of_a_picture_has_its_own_code():
    codes = places((4, 6), 32)

    assert codes.shape == (24, 32)
    assert torch.cdist(codes, codes).fill_diagonal_(9).min() > 0.1


@EVERY
def test_a_loss_is_decided_by_pixels_weights_and_generator(config, backbone):
    student, teacher = VisionTransformer.of(moved(backbone)[0]), VisionTransformer.of(backbone)
    objective = build_objective(config, student, teacher)
    first, again = (objective.loss(student, PIXELS, generator()) for _ in range(2))
    other = objective.loss(student, PIXELS, torch.Generator().manual_seed(4))

    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@EVERY
def test_gradients_reach_all_that_the_objective_uses_and_nothing_else(config, backbone):
    changed, names = moved(backbone)
    student, teacher = VisionTransformer.of(changed), VisionTransformer.of(backbone)
    objective = build_objective(config, student, teacher)
    objective.loss(student, PIXELS, generator()).backward()
    reached = {name for name, value in changed.network.named_parameters() if value.grad is not None}

    unused = set(names.mask_token) if isinstance(config, MaskedAutoencoder) else set()
    assert reached == names.all - unused
    assert all(parameter.grad is not None for parameter in objective.parameters())
    assert not any(parameter.grad is not None for parameter in backbone.parameters())


def test_a_student_that_is_its_teacher_is_right_where_it_sees_everything(backbone):
    transformer = VisionTransformer.of(backbone)
    found = transformer.tokens(transformer.normalised(PIXELS))

    assert feature_loss(found, found, MASKED, class_token_weight=1.0) == pytest.approx(0, abs=1e-6)


def test_the_decoder_sees_no_masked_pixel(backbone):
    """The pixels of masked patches are the target alone: the autoencoder draws the same without them."""
    config = MaskedAutoencoder(mask_fraction=0.5, decoder_blocks=1, decoder_hidden=32)
    student = VisionTransformer.of(backbone)
    objective = build_objective(config, student, student)
    drawn = []
    objective.draw.register_forward_hook(lambda _module, _inputs, output: drawn.append(output))
    masked = block_mask(3, (4, 4), fraction=0.5, block=1, generator=generator())
    where = masked.view(3, 1, 4, 4).repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)
    repainted = torch.where(where, 1 - PIXELS, PIXELS)
    losses = [objective.loss(student, pixels, generator()) for pixels in (PIXELS, repainted)]

    assert torch.equal(*drawn)
    assert not torch.equal(*losses)


def test_the_alternatives_are_told_apart_by_kind():
    assert {config.kind for config in OBJECTIVES} == {"feature_distillation", "simmim", "masked_autoencoder"}
    assert [type(config) for config in OBJECTIVES] == [FeatureDistillation, SimMim, MaskedAutoencoder]
