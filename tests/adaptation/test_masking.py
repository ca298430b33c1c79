from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stage1_core.adaptation.masking import block_mask, kept_patches
from stage1_core.errors import ModelError


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@given(
    st.integers(1, 5),
    st.tuples(st.integers(2, 9), st.integers(2, 9)),
    st.floats(0.05, 0.95),
    st.integers(0, 1000),
)
def test_single_patches_are_masked_in_exact_numbers(pictures, grid, fraction, seed):
    masked = block_mask(pictures, grid, fraction=fraction, block=1, generator=generator(seed))
    patches = grid[0] * grid[1]

    assert masked.shape == (pictures, patches)
    assert set(masked.sum(dim=1).tolist()) == {min(patches - 1, max(1, round(fraction * patches)))}


def test_squares_are_masked_whole():
    masked = block_mask(50, (8, 6), fraction=0.5, block=2, generator=generator()).view(50, 4, 2, 3, 2)
    squares = masked.transpose(2, 3).reshape(50, 12, 4)

    assert torch.equal(squares.all(dim=2), squares.any(dim=2))
    assert (squares.all(dim=2).sum(dim=1) == 6).all()


def test_squares_at_the_far_edge_are_smaller_where_the_grid_is_not_divided():
    masked = block_mask(1, (3, 3), fraction=0.95, block=2, generator=generator())

    assert int(masked.sum()) in {9 - 4, 9 - 2, 9 - 1}  # one of four squares is left: 2 x 2, 2 x 1 or 1 x 1 patches


def test_every_patch_is_masked_as_often_as_the_fraction_says():
    masked = block_mask(4000, (4, 4), fraction=0.25, block=2, generator=generator())

    assert (masked.float().mean(dim=0) - 0.25).abs().max() < 0.03  # four standard errors


def test_the_generator_decides_the_mask_and_the_global_one_is_not_touched():
    before = torch.get_rng_state()
    first, again, other = (
        block_mask(3, (4, 4), fraction=0.5, block=1, generator=generator(seed)) for seed in (7, 7, 8)
    )

    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_picture_of_one_square_cannot_be_masked():
    with pytest.raises(ModelError, match="fewer than two squares"):
        block_mask(1, (2, 2), fraction=0.5, block=2, generator=generator())


def test_kept_patches_are_the_unmasked_ones_in_order():
    masked = block_mask(6, (4, 5), fraction=0.6, block=1, generator=generator())
    keep = kept_patches(masked)

    assert keep.shape == (6, 8)
    assert (keep.diff(dim=1) > 0).all()
    assert not masked.gather(1, keep).any()
