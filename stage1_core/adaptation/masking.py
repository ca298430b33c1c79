"""Which patches are hidden. Every draw comes from the generator that is passed; counts are exact, never random."""

from __future__ import annotations

import torch
from torch import Tensor

from stage1_core.errors import ModelError

Grid = tuple[int, int]
"""(rows, columns) of patches."""


def block_mask(pictures: int, grid: Grid, *, fraction: float, block: int, generator: torch.Generator) -> Tensor:
    """``(pictures, rows · columns)`` bool on the CPU, True where a patch is masked, row by row.

    The grid is cut into squares of ``block`` patches, smaller at the far edges where it does not divide, and each
    picture loses the same number of squares: ``fraction`` of them, rounded, but never all or none. Raises `ModelError`
    for a grid of fewer than two squares.
    """
    rows, columns = -(-grid[0] // block), -(-grid[1] // block)
    squares = _chosen(pictures, rows * columns, fraction, generator).view(pictures, rows, columns)
    patches = squares.repeat_interleave(block, dim=1).repeat_interleave(block, dim=2)
    return patches[:, : grid[0], : grid[1]].flatten(1)


def kept_patches(masked: Tensor) -> Tensor:
    """``(n, kept)`` int64: positions of the unmasked patches of each picture, ascending.

    ``masked`` is ``(n, patches)`` bool with equally many True in each row.
    """
    return (~masked).nonzero()[:, 1].view(len(masked), -1)


def _chosen(pictures: int, squares: int, fraction: float, generator: torch.Generator) -> Tensor:
    if squares < 2:
        raise ModelError("a picture has fewer than two squares to mask; use larger pictures or a smaller block_patches")
    count = min(squares - 1, max(1, round(fraction * squares)))
    order = torch.rand(pictures, squares, generator=generator).argsort(dim=1)
    return torch.zeros(pictures, squares, dtype=torch.bool).scatter_(1, order[:, :count], True)
