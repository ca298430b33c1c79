"""Random training augmentations with the historical constants; every draw comes from the generator that is passed.

The draws are made here, in torchvision's order and with its distributions, since its own classes draw from the global
generator only: with equal seeds both give equal pixels.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from stage1_core.config import FrozenModel
from stage1_core.data.pictures import to_rgb

if TYPE_CHECKING:
    import torch

Range = tuple[float, float]
_TRIES = 10


class HasOutputSize(Protocol):
    """An evaluation transform, as far as an augmentation needs to know it."""

    @property
    def output_size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        ...


class ModerateAugment(FrozenModel):
    """Random resized crop (area .8 to 1), horizontal flip, random erasing with p .25: the milder historical preset."""

    kind: Literal["moderate"] = "moderate"
    crop_scale: ClassVar[Range] = (0.8, 1.0)
    crop_ratio: ClassVar[Range] = (0.75, 1.33)
    erase_probability: ClassVar[float] = 0.25
    erase_scale: ClassVar[Range] = (0.02, 0.33)

    def apply(self, image: Image.Image, *, generator: torch.Generator, evaluation: HasOutputSize) -> torch.Tensor:
        """``(3, h, w)`` float32 in [0, 1], the size of ``evaluation``'s result; erased areas are 0 (black)."""
        image = random_resized_crop(
            to_rgb(image), evaluation.output_size, self.crop_scale, self.crop_ratio, generator=generator
        )
        image = random_flip(image, generator=generator)
        pixels = to_pixels(np.asarray(image))
        return random_erasing(pixels, self.erase_probability, self.erase_scale, generator=generator)


class AggressiveAugment(FrozenModel):
    """Random resized crop (area .7 to 1), flip, colour jitter, random erasing with p .4: the stronger preset."""

    kind: Literal["aggressive"] = "aggressive"
    crop_scale: ClassVar[Range] = (0.7, 1.0)
    crop_ratio: ClassVar[Range] = (0.7, 1.4)
    jitter_strength: ClassVar[float] = 0.2
    jitter_hue: ClassVar[float] = 0.1
    erase_probability: ClassVar[float] = 0.4
    erase_scale: ClassVar[Range] = (0.02, 0.4)

    def apply(self, image: Image.Image, *, generator: torch.Generator, evaluation: HasOutputSize) -> torch.Tensor:
        """``(3, h, w)`` float32 in [0, 1], the size of ``evaluation``'s result; erased areas are 0 (black)."""
        image = random_resized_crop(
            to_rgb(image), evaluation.output_size, self.crop_scale, self.crop_ratio, generator=generator
        )
        image = random_flip(image, generator=generator)
        image = random_colour(image, self.jitter_strength, self.jitter_hue, generator=generator)
        pixels = to_pixels(np.asarray(image))
        return random_erasing(pixels, self.erase_probability, self.erase_scale, generator=generator)


def to_pixels(rgb: npt.NDArray[np.uint8]) -> torch.Tensor:
    """``(h, w, 3)`` uint8 as ``(3, h, w)`` float32 in [0, 1]."""
    import torch

    return torch.from_numpy(np.array(rgb)).permute(2, 0, 1).contiguous().float().div(255)


def random_resized_crop(
    image: Image.Image, size: tuple[int, int], scale: Range, ratio: Range, *, generator: torch.Generator
) -> Image.Image:
    """A crop of a random share ``scale`` of the area and random aspect ``ratio``, resized (bicubic) to (h, w)."""
    import torch

    width, height = image.size
    log_ratio = torch.log(torch.tensor(ratio))
    for _ in range(_TRIES):
        area = height * width * _uniform(scale[0], scale[1], generator)
        aspect = math.exp(_uniform(log_ratio[0].item(), log_ratio[1].item(), generator))
        crop_width, crop_height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < crop_width <= width and 0 < crop_height <= height:
            top = _below(height - crop_height + 1, generator)
            left = _below(width - crop_width + 1, generator)
            break
    else:  # the largest central crop with an allowed aspect
        crop_width = min(width, max(1, round(height * ratio[1])))
        crop_height = min(height, max(1, round(width / ratio[0])))
        left, top = (width - crop_width) // 2, (height - crop_height) // 2
    crop = image.crop((left, top, left + crop_width, top + crop_height))
    return crop.resize((size[1], size[0]), Image.Resampling.BICUBIC)


def random_flip(image: Image.Image, *, generator: torch.Generator) -> Image.Image:
    """Mirrored left to right with probability 1/2."""
    import torch

    flips = torch.rand(1, generator=generator).item() < 0.5
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flips else image


def random_colour(image: Image.Image, strength: float, hue: float, *, generator: torch.Generator) -> Image.Image:
    """Brightness, contrast, saturation by factors in 1 ± ``strength``, hue by ± ``hue`` turns, in random order."""
    import torch
    from torchvision.transforms import functional

    order = torch.randperm(4, generator=generator).tolist()
    factors = [_uniform(1 - strength, 1 + strength, generator) for _ in range(3)] + [_uniform(-hue, hue, generator)]
    change: tuple[Any, ...] = (
        functional.adjust_brightness,
        functional.adjust_contrast,
        functional.adjust_saturation,
        functional.adjust_hue,
    )
    for step in order:
        image = change[step](image, factors[step])
    return image


def random_erasing(
    pixels: torch.Tensor, probability: float, scale: Range, *, generator: torch.Generator
) -> torch.Tensor:
    """``pixels`` ``(3, h, w)`` with, at ``probability``, one rectangle of a random share of the area set to 0."""
    import torch

    if torch.rand(1, generator=generator).item() >= probability:
        return pixels
    height, width = pixels.shape[-2:]
    log_ratio = torch.log(torch.tensor((0.3, 3.3)))
    for _ in range(_TRIES):
        area = height * width * _uniform(scale[0], scale[1], generator)
        aspect = math.exp(_uniform(log_ratio[0].item(), log_ratio[1].item(), generator))
        erased_height, erased_width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if erased_height < height and erased_width < width:
            top = _below(height - erased_height + 1, generator)
            left = _below(width - erased_width + 1, generator)
            pixels = pixels.clone()
            pixels[:, top : top + erased_height, left : left + erased_width] = 0
            return pixels
    return pixels


def _uniform(low: float, high: float, generator: torch.Generator) -> float:
    import torch

    return torch.empty(1).uniform_(low, high, generator=generator).item()


def _below(end: int, generator: torch.Generator) -> int:
    import torch

    return int(torch.randint(0, end, (1,), generator=generator).item())
