"""Decisions for files and folders, one row a picture; a broken one is a row too."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, TextIO

from PIL import Image
from pydantic import Field

from stage1_core.bundle.runtime import Stage1, as_decisions
from stage1_core.config import FrozenModel
from stage1_core.data.pictures import open_picture
from stage1_core.digests import canonical_json
from stage1_core.errors import DataError

PICTURE_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
_READERS = 4


class PredictionRow(FrozenModel):
    """What is written for one picture. Without an error, ``exited`` and ``probability`` are there."""

    path: str
    exited: bool | None = None
    label: int | None = None
    """0 or 1 where the picture exits."""
    probability: Annotated[float, Field(ge=0, le=1)] | None = None
    """P(roadwork) that the label goes by: calibrated where the policy calibrates classes, else the model's own."""
    error: str | None = None
    """Why there is no decision."""
    stage_b_label: int | None = None
    """0 or 1, stage B's answer where the picture does not exit and the policy leaves the rest to it; not certified."""


def picture_files(paths: Iterable[Path]) -> list[Path]:
    """``paths`` with folders replaced by the pictures in them, sorted. Raises `DataError` for what does not exist."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(p for p in path.rglob("*") if p.suffix.lower() in PICTURE_SUFFIXES and p.is_file())
        elif path.exists():
            found.append(path)
        else:
            raise DataError(f"{path} does not exist; give pictures or folders of pictures")
    return found


def predict_files(
    stage1: Stage1,
    paths: Sequence[Path],
    *,
    batch_size: int = 32,
    on_progress: Callable[[int, int], None] | None = None,
) -> Iterator[PredictionRow]:
    """One row for each of ``paths``, in their order; broken pictures are named in their row and end nothing.

    ``on_progress(done, total)`` is called after each batch.
    """
    with ThreadPoolExecutor(_READERS) as readers:
        for start in range(0, len(paths), batch_size):
            part = paths[start : start + batch_size]
            yield from _predict_batch(stage1, part, list(readers.map(_read, part)))
            if on_progress is not None:
                on_progress(start + len(part), len(paths))


def write_csv(rows: Iterable[PredictionRow], file: TextIO) -> None:
    """Comma-separated, one header line; absent values are empty."""
    writer = csv.DictWriter(file, fieldnames=list(PredictionRow.model_fields), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.model_dump(mode="json") for row in rows)


def write_jsonl(rows: Iterable[PredictionRow], file: TextIO) -> None:
    """One JSON object a line."""
    for row in rows:
        file.write(canonical_json(row.model_dump(mode="json")).decode() + "\n")


def _predict_batch(
    stage1: Stage1, paths: Sequence[Path], read: Sequence[Image.Image | DataError]
) -> Iterator[PredictionRow]:
    whole = [image for image in read if isinstance(image, Image.Image)]
    scores = stage1.scores(whole, batch_size=max(len(whole), 1))
    decisions = iter(as_decisions(scores, stage1.policy))
    for path, image in zip(paths, read, strict=True):
        if isinstance(image, DataError):
            yield PredictionRow(path=str(path), error=str(image))
        else:
            decision = next(decisions)
            yield PredictionRow(
                path=str(path),
                exited=decision.exited,
                label=decision.label,
                probability=decision.probability,
                stage_b_label=decision.stage_b_label,
            )


def _read(path: Path) -> Image.Image | DataError:
    try:
        return open_picture(path)
    except DataError as error:
        return error
