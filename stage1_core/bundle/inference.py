"""From pictures, in whatever form a caller has them, to scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from stage1_core.data.pictures import decode_picture, open_picture
from stage1_core.data.transforms import EvalTransform
from stage1_core.errors import DataError
from stage1_core.model.classifier import Classifier, predict
from stage1_core.predictions import Scores, Text

Picture = Image.Image | Path | str | bytes | npt.NDArray[np.uint8]
"""A path, encoded bytes, a PIL image, or a uint8 RGB array ``(h, w, 3)``."""


def as_image(picture: Picture, name: str) -> Image.Image:
    """``picture`` decoded. Raises `DataError` with ``name`` for what is broken or of another form."""
    if isinstance(picture, Path | str):
        return open_picture(Path(picture))
    if isinstance(picture, bytes):
        return decode_picture(picture, name=name)
    if isinstance(picture, Image.Image):
        try:
            picture.load()
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise DataError(
                f"{name} is not a readable picture ({error}); leave it out or send the whole file"
            ) from error
        return picture
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or picture.size == 0:
        raise DataError(
            f"{name} is a {picture.dtype} array of shape {picture.shape}; give uint8 (height, width, 3), RGB"
        )
    return Image.fromarray(np.ascontiguousarray(picture))


def score_pictures(
    model: Classifier,
    transform: EvalTransform,
    pictures: Sequence[Picture],
    names: Sequence[str],
    *,
    device: str,
    batch_size: int,
) -> Scores:
    """Scores of ``pictures`` in float32; only one batch of pixels is held at a time."""

    def batches() -> Iterator[tuple[Text, torch.Tensor]]:
        for start in range(0, len(pictures), batch_size):
            part = list(zip(names[start : start + batch_size], pictures[start : start + batch_size], strict=True))
            pixels = torch.stack([transform.apply(as_image(picture, name)) for name, picture in part])
            yield np.array([name for name, _ in part], dtype=np.str_), pixels

    with full_precision(device):
        return predict(model, batches(), device=device)


@contextmanager
def full_precision(device: str) -> Iterator[None]:
    """No TF32 on a GPU inside the block: its ten bits of mantissa move logits by more than golden pictures allow."""
    if not device.startswith("cuda"):
        yield
        return
    matmul = torch.backends.cuda.matmul
    convolution = torch.backends.cudnn.conv  # type: ignore[attr-defined]  # torch's own module class has it
    before = matmul.fp32_precision, convolution.fp32_precision
    matmul.fp32_precision = convolution.fp32_precision = "ieee"
    try:
        yield
    finally:
        matmul.fp32_precision, convolution.fp32_precision = before
