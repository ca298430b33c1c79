"""Opening a picture file as upright 8-bit RGB, whatever it is inside; what cannot be opened is a `DataError`."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from stage1_core.digests import digest_of_bytes
from stage1_core.errors import DataError

# What Pillow's decoders raise for damaged files, besides OSError and its own subclasses of it.
_DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


def to_rgb(image: Image.Image) -> Image.Image:
    """``image`` upright (EXIF orientation applied) and as 8-bit RGB.

    Transparency is dropped, not blended, as the subnet's own validators and miners do. 16-bit greyscale keeps its
    upper eight bits. Raises ValueError for colour spaces that Pillow cannot convert.
    """
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):  # 16 bits a pixel; a plain conversion would clip at 255
        grey = (np.clip(np.asarray(upright, dtype=np.int64), 0, 65535) >> 8).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if upright.mode == "P":  # a palette with transparency warns when it goes to RGB directly
        upright = upright.convert("RGBA")
    return upright if upright.mode == "RGB" else upright.convert("RGB")


def decode_picture(content: bytes, *, name: str) -> Image.Image:
    """The picture in ``content`` as upright RGB. Raises `DataError` with ``name`` for anything not decodable."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            return to_rgb(image)
    except UnidentifiedImageError as error:
        raise DataError(f"{name} is not in a known picture format; run the data audit again") from error
    except _DECODE_ERRORS as error:
        raise DataError(
            f"{name} is not a readable picture ({type(error).__name__}: {error}); "
            "run the data audit again, which sets broken pictures aside"
        ) from error


def open_picture(path: Path | str, *, sha256: str | None = None) -> Image.Image:
    """The file's picture as upright RGB, checked against ``sha256`` (hex) where one is given.

    Raises `DataError` naming the file when it is missing, broken, or has other content than when it was audited.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); run the data audit again") from error
    if sha256 is not None and digest_of_bytes(content) != sha256:
        raise DataError(f"{path} has changed since it was audited (sha256 is not {sha256}); run the data audit again")
    return decode_picture(content, name=str(path))
