from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import TypeAdapter, ValidationError
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize, ToTensor
from transformers import DINOv3ViTImageProcessor

from stage1_core.data.transforms import EvalTransform, Letterbox, ProcessorGeometry, ResizeCenterCrop

SMALL = [
    ResizeCenterCrop(resize_px=20, crop_px=16),
    Letterbox(size_px=16),
    ProcessorGeometry(height_px=12, width_px=16),
]


def picture(width: int, height: int) -> Image.Image:
    rng = np.random.default_rng(width * 10_000 + height)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_all_kinds_are_tested_here():
    kinds = {type(transform) for transform in SMALL}

    assert kinds == set(get_args(get_args(EvalTransform)[0]))


@pytest.mark.parametrize("transform", SMALL, ids=lambda transform: transform.kind)
@given(width=st.integers(1, 60), height=st.integers(1, 60))
def test_any_picture_gives_the_stated_size_in_unit_range(transform, width, height):
    pixels = transform.apply(picture(width, height))

    assert pixels.dtype == torch.float32
    assert pixels.shape == (3, *transform.output_size)
    assert pixels.min() >= 0
    assert pixels.max() <= 1


@pytest.mark.parametrize("transform", SMALL, ids=lambda transform: transform.kind)
def test_apply_is_the_eight_bit_pixels_over_255(transform):
    image = picture(30, 23)

    expected = torch.from_numpy(transform.pixels(image).copy()).permute(2, 0, 1) / 255

    assert torch.equal(transform.apply(image), expected)


@pytest.mark.parametrize("transform", SMALL, ids=lambda transform: transform.kind)
def test_a_config_survives_json_and_keeps_its_digest(transform):
    again = TypeAdapter(EvalTransform).validate_json(transform.to_json())

    assert again == transform
    assert again.digest() == transform.digest()


@pytest.mark.parametrize(("width", "height"), [(320, 240), (240, 320), (300, 300), (57, 401), (288, 224), (333, 250)])
def test_the_default_is_torchvisions_resize_256_and_centre_crop_224(width, height):
    oracle = Compose([Resize(256, interpolation=InterpolationMode.BICUBIC), CenterCrop(224), ToTensor()])
    image = picture(width, height)

    assert torch.equal(ResizeCenterCrop().apply(image), oracle(image))


@pytest.mark.parametrize(("width", "height"), [(320, 240), (100, 300)])
def test_processor_geometry_is_that_of_the_dinov3_processor(width, height):
    image = picture(width, height)
    processor = DINOv3ViTImageProcessor(do_normalize=False)

    theirs = processor(image, return_tensors="pt")["pixel_values"][0]

    assert (ProcessorGeometry().apply(image) - theirs).abs().max() <= 1.01 / 255


def test_letterbox_keeps_the_whole_picture_and_fills_with_black():
    pixels = Letterbox(size_px=16).pixels(Image.new("RGB", (32, 16), "white"))

    assert (pixels[4:12] == 255).all()
    assert (pixels[:4] == 0).all()
    assert (pixels[12:] == 0).all()


def test_a_very_long_strip_is_cut_before_it_is_enlarged():
    pixels = ResizeCenterCrop().apply(Image.new("RGB", (60_000, 1), "white"))

    assert pixels.shape == (3, 224, 224)
    assert pixels.min() == 1


def test_a_crop_larger_than_the_resized_side_is_refused():
    with pytest.raises(ValidationError, match="crop_px 300 is larger than resize_px 256"):
        ResizeCenterCrop(crop_px=300)
