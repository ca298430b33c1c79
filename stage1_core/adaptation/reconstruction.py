"""Pixels of patches as targets, and the loss that looks at masked patches alone."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

_LEAST_VARIANCE = 1e-6
"""Added to the variance of a patch: a patch of one colour has the target 0 everywhere."""


def patch_pixels(normalised: Tensor, patch_px: int) -> Tensor:
    """``(n, patches, 3 · patch_px²)`` from ``(n, 3, h, w)``, row by row, each patch with mean 0 and variance 1.

    Normalised patches ask for structure and not for brightness (He et al., arXiv 2111.06377, section 4.1).
    """
    patches = functional.unfold(normalised, patch_px, stride=patch_px).transpose(1, 2)
    mean, variance = patches.mean(dim=-1, keepdim=True), patches.var(dim=-1, keepdim=True)
    return (patches - mean) / (variance + _LEAST_VARIANCE).sqrt()


def masked_mean(errors: Tensor, masked: Tensor) -> Tensor:
    """The mean of ``errors`` ``(n, patches)`` over the patches where ``masked``, of the same shape, is True."""
    return errors[masked].mean()
