from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import (
    ColorJitter,
    Compose,
    InterpolationMode,
    RandomErasing,
    RandomHorizontalFlip,
    RandomResizedCrop,
    ToTensor,
)

from stage1_core.data.transforms import (
    AggressiveAugment,
    AugmentConfig,
    Letterbox,
    ModerateAugment,
    NoAugment,
    ResizeCenterCrop,
)

EVALUATION = ResizeCenterCrop(resize_px=36, crop_px=32)
BICUBIC = InterpolationMode.BICUBIC
ORACLES = {
    "moderate": Compose(
        [
            RandomResizedCrop(32, scale=(0.8, 1.0), ratio=(0.75, 1.33), interpolation=BICUBIC),
            RandomHorizontalFlip(0.5),
            ToTensor(),
            RandomErasing(p=0.25, scale=(0.02, 0.33), ratio=(0.3, 3.3)),
        ]
    ),
    "aggressive": Compose(
        [
            RandomResizedCrop(32, scale=(0.7, 1.0), ratio=(0.7, 1.4), interpolation=BICUBIC),
            RandomHorizontalFlip(0.5),
            ColorJitter(0.2, 0.2, 0.2, hue=0.1),
            ToTensor(),
            RandomErasing(p=0.4, scale=(0.02, 0.4), ratio=(0.3, 3.3)),
        ]
    ),
}
MEMBERS = [ModerateAugment(), AggressiveAugment(), NoAugment()]


def picture(width: int, height: int) -> Image.Image:
    rng = np.random.default_rng(5)
    coarse = Image.fromarray(rng.integers(1, 255, (6, 8, 3), dtype=np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_all_kinds_are_tested_here():
    assert {type(member) for member in MEMBERS} == set(get_args(get_args(AugmentConfig)[0]))


@pytest.mark.parametrize("augment", [ModerateAugment(), AggressiveAugment()], ids=lambda augment: augment.kind)
@pytest.mark.parametrize("size", [(64, 48), (30, 60), (20, 200)])
def test_equal_seeds_give_the_pixels_of_torchvisions_pipeline(augment, size):
    image = picture(*size)
    for seed in range(25):
        ours = augment.apply(image, generator=seeded(seed), evaluation=EVALUATION)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            theirs = ORACLES[augment.kind](image)
        assert torch.equal(ours, theirs), seed


@pytest.mark.parametrize("augment", MEMBERS, ids=lambda augment: augment.kind)
def test_the_global_generator_is_neither_read_nor_moved(augment):
    image = picture(64, 48)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = augment.apply(image, generator=seeded(3), evaluation=EVALUATION)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)

    assert torch.equal(augment.apply(image, generator=seeded(3), evaluation=EVALUATION), first)


@pytest.mark.parametrize("augment", MEMBERS, ids=lambda augment: augment.kind)
def test_the_result_has_the_evaluation_size(augment):
    evaluation = Letterbox(size_px=24)

    assert augment.apply(picture(64, 48), generator=seeded(0), evaluation=evaluation).shape == (3, 24, 24)


def test_erased_areas_are_black_at_the_stated_frequency():
    white = Image.new("RGB", (40, 40), "white")
    generator = seeded(0)
    erased = [
        bool((ModerateAugment().apply(white, generator=generator, evaluation=EVALUATION) == 0).any())
        for _ in range(400)
    ]

    assert 0.18 < np.mean(erased) < 0.32  # .25 plus or minus more than three standard errors


def test_none_is_the_evaluation_transform():
    image = picture(64, 48)

    same = NoAugment().apply(image, generator=seeded(0), evaluation=EVALUATION)

    assert torch.equal(same, EVALUATION.apply(image))
