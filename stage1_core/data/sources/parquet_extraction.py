"""Writes the pictures of a parquet shard to a folder: every row its own file, all of them or none."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from stage1_core.data.sources.folder_listing import is_picture
from stage1_core.errors import DataError

_COLUMNS = ("image", "label", "scene_description", "gps", "city_name", "video_info")
_STAMP = b"stage1.shard"
_ROWS_FILE = "rows.parquet"
_ROWS_PER_BATCH = 16  # pictures of some megabytes each


class ShardRow(NamedTuple):
    """What a shard says about one picture; "" where it says nothing."""

    file: str
    label: int
    description: str
    city: str
    sequence: str
    video: str
    gps: str


def extract_shard(shard: Path, folder: Path) -> list[ShardRow]:
    """The rows of ``shard``, whose pictures lie in ``folder`` afterwards, one file each, named by row number.

    What was extracted before is used when the shard has not changed since and no file is missing. The folder appears
    under its name only when it is complete, so that a killed extraction is repeated; a second process waits for the
    first. A row without picture becomes an empty file, which the inspection reports as bad.

    Raises `DataError` when the shard is damaged, has a label that is not 0 or 1, or the folder cannot be written.
    """
    stamp = _stamp(shard)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.parent / f".{folder.name}.lock"):
            rows = _extracted(folder, stamp)
            return _extract(shard, folder, stamp) if rows is None else rows
    except OSError as error:
        advice = "make room or set cache_folder"
        raise DataError(f"pictures of {shard} cannot be extracted to {folder} ({error}); {advice}") from error


def _extract(shard: Path, folder: Path, stamp: bytes) -> list[ShardRow]:
    partial = folder.parent / f".{folder.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    rows = list(_write_pictures(shard, partial))
    written = len(os.listdir(partial))  # noqa: PTH208
    if written != len(rows):
        raise DataError(f"{shard} has {len(rows)} rows and gave {written} files in {partial}; report this")
    schema = pa.schema({name: pa.int8() if name == "label" else pa.string() for name in ShardRow._fields})
    table = pa.Table.from_pylist([row._asdict() for row in rows], schema.with_metadata({_STAMP: stamp}))
    pq.write_table(table, partial / _ROWS_FILE)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return rows


def _extracted(folder: Path, stamp: bytes) -> list[ShardRow] | None:
    """The rows of a complete extraction of the same shard, else None."""
    file = folder / _ROWS_FILE
    if not file.is_file():
        return None
    table = pq.read_table(file)
    rows = [ShardRow(**row) for row in table.to_pylist()]
    present = set(os.listdir(folder))  # noqa: PTH208
    complete = present == {_ROWS_FILE, *(row.file for row in rows)}
    return rows if complete and (table.schema.metadata or {}).get(_STAMP) == stamp else None


def _write_pictures(shard: Path, folder: Path) -> Iterator[ShardRow]:
    number = 0
    try:
        # without pre_buffer=False, all row groups stay in memory until the last one is read
        with pq.ParquetFile(shard, buffer_size=2**20, pre_buffer=False) as file:
            columns = [name for name in file.schema_arrow.names if name.split(".")[0] in _COLUMNS]
            missing = [name for name in ("image", "label") if name not in {column.split(".")[0] for column in columns}]
            if missing:
                found = ", ".join(file.schema_arrow.names)
                raise DataError(f"{shard} has no column {', '.join(missing)}; columns found: {found}")
            for batch in file.iter_batches(_ROWS_PER_BATCH, columns=columns, use_threads=False):
                for values in pa.Table.from_batches([batch]).flatten().to_pylist():
                    row = _row(values, shard, number)
                    content = values.get("image.bytes", values.get("image"))
                    (folder / row.file).write_bytes(content or b"")
                    number += 1
                    yield row
    except (pa.ArrowException, OSError) as error:
        if getattr(error, "errno", None) is not None:  # the disk, not the shard
            raise
        raise DataError(f"{shard} is not a readable parquet file ({error}); download it again") from error


def _row(values: dict[str, Any], shard: Path, number: int) -> ShardRow:
    label = values["label"]
    if label not in (0, 1):
        raise DataError(f"{shard}, row {number}: the label is {label!r} and must be 0 or 1; correct the shard")

    def text(name: str) -> str:
        value = values.get(name)
        return "" if value is None else str(value).strip()

    original = text("image.path")
    suffix = Path(original).suffix.lower() if is_picture(original) else ".jpg"
    return ShardRow(
        file=f"{number:06d}{suffix}",
        label=int(label),
        description=text("scene_description"),
        city=text("city_name"),
        sequence=text("video_info.seq_id"),
        video=text("video_info.vid_id"),
        gps=text("gps"),
    )


def _stamp(shard: Path) -> bytes:
    status = shard.stat()
    return f"{shard.name} {status.st_size} {status.st_mtime_ns}".encode()


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)  # released by the system also when the process is killed
        yield
