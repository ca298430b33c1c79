from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stage1_core.data.pictures import decode_picture, open_picture, to_rgb
from stage1_core.digests import digest_of_file
from stage1_core.errors import DataError


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "CMYK", "L", "LA", "P", "1", "YCbCr", "HSV"])
def test_every_common_colour_mode_becomes_rgb(mode, rng):
    image = Image.fromarray(rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)).convert(mode)

    assert to_rgb(image).mode == "RGB"
    assert to_rgb(image).size == (5, 6)


def test_sixteen_bit_grey_keeps_its_upper_byte():
    deep = Image.fromarray(np.array([[0, 256, 0x8000, 0xFFFF]], dtype=np.uint16))

    assert np.asarray(to_rgb(deep))[0, :, 0].tolist() == [0, 1, 128, 255]


def test_a_palette_with_transparency_opens_without_a_warning():
    buffer = io.BytesIO()
    palette = Image.new("RGB", (4, 4), "red").convert("P")
    palette.save(buffer, "PNG", transparency=b"\x00\x80")

    assert decode_picture(buffer.getvalue(), name="palette").getpixel((0, 0)) == (255, 0, 0)


def test_transparency_is_dropped_not_blended():
    assert to_rgb(Image.new("RGBA", (1, 1), (10, 200, 30, 0))).getpixel((0, 0)) == (10, 200, 30)


def test_exif_orientation_is_applied(tmp_path: Path):
    picture = Image.new("RGB", (8, 4))
    picture.paste((255, 255, 255), (0, 0, 4, 4))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held so that the file's left is the scene's top
    picture.save(tmp_path / "turned.png", exif=exif)

    upright = open_picture(tmp_path / "turned.png")

    assert upright.size == (4, 8)
    assert upright.getpixel((1, 1)) == (255, 255, 255)
    assert upright.getpixel((1, 6)) == (0, 0, 0)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow warns about TIFF before it fails
@pytest.mark.parametrize("kept", [0, 1, 10, 60])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_a_truncated_file_is_a_data_error_that_names_it(tmp_path: Path, kind, kept, rng):
    path = tmp_path / "cut.img"
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(buffer, kind)
    path.write_bytes(buffer.getvalue()[:kept])

    with pytest.raises(DataError, match=r"cut\.img"):
        open_picture(path)


def test_a_missing_file_is_a_data_error_that_names_it(tmp_path: Path):
    with pytest.raises(DataError, match=r"absent\.png"):
        open_picture(tmp_path / "absent.png")


def test_content_other_than_audited_is_refused(tmp_path: Path):
    path = tmp_path / "a.png"
    Image.new("RGB", (4, 4)).save(path)
    audited = digest_of_file(path)
    assert open_picture(path, sha256=audited).size == (4, 4)
    Image.new("RGB", (4, 4), "red").save(path)

    with pytest.raises(DataError, match="changed since it was audited"):
        open_picture(path, sha256=audited)
