"""From a picture to the pixels a backbone sees. Which transform was used travels with the bundle and is replayed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import Field, model_validator

from stage1_core.config import FrozenModel
from stage1_core.data.augmentation import AggressiveAugment, ModerateAugment, to_pixels
from stage1_core.data.pictures import to_rgb

if TYPE_CHECKING:
    import torch

SizePx = Annotated[int, Field(ge=8, le=4096)]
Uint8 = npt.NDArray[np.uint8]

# Beyond this aspect ratio only the middle is kept before resizing: a strip of 1 x 60000 would need gigabytes.
_WIDEST_ASPECT = 16


class ResizeCenterCrop(FrozenModel):
    """Short side to `resize_px` (bicubic, antialiased), then the central square: the historical evaluation geometry."""

    kind: Literal["resize_center_crop"] = "resize_center_crop"
    resize_px: SizePx = 256
    """Length of the short side after resizing, in pixels."""
    crop_px: SizePx = 224
    """Side of the central square that is kept, in pixels; at most `resize_px`."""

    @model_validator(mode="after")
    def _crop_fits(self) -> Self:
        if self.crop_px > self.resize_px:
            raise ValueError(f"crop_px {self.crop_px} is larger than resize_px {self.resize_px}; make it at most that")
        return self

    @property
    def output_size(self) -> tuple[int, int]:
        """(height, width) of the result in pixels."""
        return self.crop_px, self.crop_px

    def pixels(self, image: Image.Image) -> Uint8:
        """``(h, w, 3)`` uint8 RGB."""
        image = _without_far_ends(to_rgb(image))
        short = min(image.size)
        width, height = (int(self.resize_px * side / short) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BICUBIC)
        left, top = round((width - self.crop_px) / 2), round((height - self.crop_px) / 2)
        return np.asarray(image.crop((left, top, left + self.crop_px, top + self.crop_px)))

    def apply(self, image: Image.Image) -> torch.Tensor:
        """``(3, h, w)`` float32 in [0, 1], not normalised."""
        return to_pixels(self.pixels(image))


class Letterbox(FrozenModel):
    """Long side to `size_px` (bicubic, antialiased), centred on black: nothing is cut off, nothing distorted."""

    kind: Literal["letterbox"] = "letterbox"
    size_px: SizePx = 224
    """Side of the square result in pixels."""

    @property
    def output_size(self) -> tuple[int, int]:
        """(height, width) of the result in pixels."""
        return self.size_px, self.size_px

    def pixels(self, image: Image.Image) -> Uint8:
        """``(h, w, 3)`` uint8 RGB."""
        image = to_rgb(image)
        long = max(image.size)
        width, height = (max(1, round(self.size_px * side / long)) for side in image.size)
        canvas = Image.new("RGB", (self.size_px, self.size_px))
        resized = image.resize((width, height), Image.Resampling.BICUBIC)
        canvas.paste(resized, ((self.size_px - width) // 2, (self.size_px - height) // 2))
        return np.asarray(canvas)

    def apply(self, image: Image.Image) -> torch.Tensor:
        """``(3, h, w)`` float32 in [0, 1], not normalised."""
        return to_pixels(self.pixels(image))


class ProcessorGeometry(FrozenModel):
    """The whole picture to exactly this size (bilinear, antialiased), aspect not kept: DINOv3's own processor."""

    kind: Literal["processor"] = "processor"
    height_px: SizePx = 224
    """Height of the result in pixels."""
    width_px: SizePx = 224
    """Width of the result in pixels."""

    @property
    def output_size(self) -> tuple[int, int]:
        """(height, width) of the result in pixels."""
        return self.height_px, self.width_px

    def pixels(self, image: Image.Image) -> Uint8:
        """``(h, w, 3)`` uint8 RGB."""
        return np.asarray(to_rgb(image).resize((self.width_px, self.height_px), Image.Resampling.BILINEAR))

    def apply(self, image: Image.Image) -> torch.Tensor:
        """``(3, h, w)`` float32 in [0, 1], not normalised."""
        return to_pixels(self.pixels(image))


EvalTransform = Annotated[ResizeCenterCrop | Letterbox | ProcessorGeometry, Field(discriminator="kind")]
"""Every evaluation geometry; `kind` tells them apart."""


class NoAugment(FrozenModel):
    """Training sees exactly what evaluation sees."""

    kind: Literal["none"] = "none"

    def apply(self, image: Image.Image, *, generator: torch.Generator, evaluation: EvalTransform) -> torch.Tensor:
        """``(3, h, w)`` float32 in [0, 1]: the evaluation transform; nothing is drawn."""
        return evaluation.apply(image)


AugmentConfig = Annotated[ModerateAugment | AggressiveAugment | NoAugment, Field(discriminator="kind")]
"""Every training augmentation; each has ``apply(image, *, generator, evaluation)``. `kind` tells them apart."""


def _without_far_ends(image: Image.Image) -> Image.Image:
    width, height = image.size
    limit = _WIDEST_ASPECT * min(width, height)
    if max(width, height) <= limit:
        return image
    left, top = max(0, (width - limit) // 2), max(0, (height - limit) // 2)
    return image.crop((left, top, min(width, left + limit), min(height, top + limit)))


__all__ = [
    "AggressiveAugment",
    "AugmentConfig",
    "EvalTransform",
    "Letterbox",
    "ModerateAugment",
    "NoAugment",
    "ProcessorGeometry",
    "ResizeCenterCrop",
]
