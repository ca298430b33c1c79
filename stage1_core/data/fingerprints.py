"""One picture opened once: digest of its bytes, perceptual hash, size. Light: worker processes import it."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import imagehash
import numpy as np
from PIL import Image, UnidentifiedImageError

from stage1_core.data.pictures import to_rgb

_DECODED_SIDE_PX = 128
"""JPEGs are decoded at the smallest scale whose sides reach this: the hash looks at 32 × 32 pixels."""


class Fingerprint(NamedTuple):
    """What is known of a picture, or the ``reason`` why it cannot be used ("" where it can)."""

    path: str
    sha256: str = ""
    phash: int = 0
    """64-bit DCT hash; similar pictures differ in few bits."""
    width: int = 0
    """Pixels, of the upright picture."""
    height: int = 0
    """Pixels, of the upright picture."""
    reason: str = ""
    unread: bool = False
    """The file could not be read at all: another try may go well."""


def fingerprints(paths: Sequence[str]) -> list[Fingerprint]:
    """The fingerprint of each picture; a broken one has a reason, nothing is raised and no warning escapes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Pillow only warns of pictures between one and two times its pixel limit; no street picture is that large.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return [_fingerprint(path) for path in paths]


def _fingerprint(path: str) -> Fingerprint:
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        return Fingerprint(path, reason=error.strerror or type(error).__name__, unread=True)
    if not content:
        return Fingerprint(path, reason="the file is empty")
    try:
        with Image.open(io.BytesIO(content)) as picture:
            size = picture.size
            picture.draft("L", (_DECODED_SIDE_PX, _DECODED_SIDE_PX))
            upright = to_rgb(picture)
            bits = imagehash.phash(upright).hash
    except Exception as error:
        # Decoders raise many types on damaged bytes, and none of them may end the run: each becomes a recorded reason.
        return Fingerprint(path, reason=_reason(error))
    width, height = size if (upright.width < upright.height) == (size[0] < size[1]) else size[::-1]
    phash = int.from_bytes(np.packbits(bits).tobytes(), "big")
    return Fingerprint(path, hashlib.sha256(content).hexdigest(), phash, width, height)


def _reason(error: Exception) -> str:
    """One line without memory addresses, so that the same picture always gives the same reason."""
    if isinstance(error, UnidentifiedImageError):
        return "not a picture in any known format"
    first_line = str(error).partition("\n")[0]
    return f"{type(error).__name__}: {first_line}" if first_line else type(error).__name__
