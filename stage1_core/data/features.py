"""Features on disk: one append-only float32 matrix for each (backbone, transform), rows found by picture digest.

Data is written and synced before the index line that names it, so a crash loses only what no line names. A line
carries its own checksum and that of its block of rows: what is damaged is missing, and made again.
"""

from __future__ import annotations

import fcntl
import json
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

from stage1_core.config import FrozenModel
from stage1_core.digests import canonical_json, digest_of_bytes
from stage1_core.errors import DataError

Float32 = npt.NDArray[np.float32]
_ROW_TYPE = np.dtype("<f4")


class FeatureSpace(FrozenModel):
    """What makes features comparable: equal spaces share a store."""

    backbone_digest: str
    """See `backbone_digest` of the model."""
    transform_digest: str
    """``digest()`` of the evaluation transform."""
    hidden: int
    """Length of a feature vector."""
    dtype: Literal["float32"] = "float32"
    """Type of the stored numbers."""

    def folder(self, store_folder: Path) -> Path:
        """Where this space's matrix lies."""
        return store_folder / space_key(self.backbone_digest, self.transform_digest)


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Feature vectors in the order of the rows they were asked for."""

    ids: npt.NDArray[np.str_]
    """``(n,)`` sample ids."""
    values: Float32
    """``(n, hidden)``. A copy-on-write memory map where the rows lie together in the store (a cache filled by one
    call on the same rows), else a copy in memory. Writing to it never changes the store."""

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class _Block:
    """Consecutive rows of the matrix that were appended together."""

    first_row: int
    images: tuple[str, ...]
    crc32: int

    @property
    def key(self) -> tuple[int, int]:
        return self.first_row, self.crc32


def space_key(backbone_digest: str, transform_digest: str) -> str:
    """Folder name for features of this backbone and transform: 32 hex digits."""
    return digest_of_bytes(canonical_json([1, backbone_digest, transform_digest, _ROW_TYPE.str]))[:32]


class FeatureStore:
    """The features of one space. Any number of readers and, one at a time, a writer may use a folder."""

    def __init__(self, folder: Path, space: FeatureSpace) -> None:
        self.folder = folder
        self.space = space
        self._row_of: dict[str, tuple[int, _Block]] = {}
        self._sound: dict[tuple[int, int], bool] = {}
        self._refresh()

    @classmethod
    def create(cls, store_folder: Path, space: FeatureSpace) -> Self:
        """Open the store of ``space`` below ``store_folder``, made if it is not there.

        Raises `DataError` when the folder belongs to another space.
        """
        folder = space.folder(store_folder)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "space.json"
        if not path.exists():
            draft = folder / f"space.json.{os.getpid()}"
            draft.write_text(space.to_json())
            draft.replace(path)
        found = FeatureSpace.from_json_file(path)
        if found != space:
            raise DataError(f"{path} is for other features ({found.hidden} wide, not {space.hidden}); delete {folder}")
        return cls(folder, space)

    @classmethod
    def open(cls, store_folder: Path, *, backbone_digest: str, transform_digest: str) -> Self | None:
        """The store as it is, or None where nothing has been stored. Never loads a model."""
        folder = store_folder / space_key(backbone_digest, transform_digest)
        if not (folder / "space.json").exists():
            return None
        return cls(folder, FeatureSpace.from_json_file(folder / "space.json"))

    @contextmanager
    def writing(self) -> Iterator[Self]:
        """Hold the writer's lock, waiting for it; afterwards drop the tail that a crash left without index."""
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # released by the system if the process dies
            end = self._refresh()
            _truncate(self._data_path, end * self._row_bytes)
            _truncate(self._index_path, _whole_lines(self._index_path))
            yield self

    def missing(self, images: Sequence[str]) -> list[str]:
        """Those of ``images`` (hex sha256) without sound features, each once, in the order given.

        Reads and checks the blocks that hold the others.
        """
        wanted = dict.fromkeys(images)
        return [image for image in wanted if image not in self._row_of or not self._is_sound(self._row_of[image][1])]

    def append(self, images: Sequence[str], values: Float32) -> None:
        """Store ``values`` ``(n, hidden)`` for ``images``; only inside `writing`. Durable when it returns."""
        assert values.shape == (len(images), self.space.hidden), "one row for each image"
        content = np.ascontiguousarray(values, dtype=_ROW_TYPE).tobytes()
        with self._data_path.open("ab") as file:
            first_row = file.tell() // self._row_bytes
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        block = _Block(first_row, tuple(images), zlib.crc32(content))
        with self._index_path.open("ab") as file:
            file.write(_line_of(block))
            file.flush()
            os.fsync(file.fileno())
        self._sound[block.key] = True
        self._row_of.update((image, (first_row + offset, block)) for offset, image in enumerate(images))

    def read(self, images: Sequence[str]) -> Float32:
        """``(n, hidden)`` features of ``images`` in their order; see `Features.values`.

        Raises `DataError` for images that are missing.
        """
        missing = self.missing(images)
        if missing:
            raise DataError(f"{len(missing)} pictures have no features, e.g. sha256 {missing[0]}; extract them first")
        rows = np.array([self._row_of[image][0] for image in images], dtype=np.int64)
        if not len(rows):
            return np.empty((0, self.space.hidden), dtype=np.float32)
        if np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows))):
            return self._matrix(int(rows[0]), len(rows))
        first = int(rows.min())
        return np.asarray(self._matrix(first, int(rows.max()) + 1 - first)[rows - first])

    @property
    def _data_path(self) -> Path:
        return self.folder / "features.f32"

    @property
    def _index_path(self) -> Path:
        return self.folder / "index.jsonl"

    @property
    def _row_bytes(self) -> int:
        return self.space.hidden * _ROW_TYPE.itemsize

    def _matrix(self, first_row: int, rows: int) -> Float32:
        return np.memmap(
            self._data_path,
            dtype=_ROW_TYPE,
            mode="c",
            offset=first_row * self._row_bytes,
            shape=(rows, self.space.hidden),
        )

    def _refresh(self) -> int:
        """Read the index again; the number of rows of the matrix that it accounts for."""
        self._row_of.clear()
        stored = self._data_path.stat().st_size // self._row_bytes if self._data_path.exists() else 0
        end = 0
        for block in _read_index(self._index_path):
            block_end = block.first_row + len(block.images)
            if block_end > stored:  # the data file was cut
                continue
            end = max(end, block_end)
            # Later lines win: a damaged block's pictures are made again and appended.
            self._row_of.update((image, (block.first_row + offset, block)) for offset, image in enumerate(block.images))
        return end

    def _is_sound(self, block: _Block) -> bool:
        if block.key not in self._sound:
            content = self._matrix(block.first_row, len(block.images)).view(np.uint8).data
            self._sound[block.key] = zlib.crc32(content) == block.crc32
        return self._sound[block.key]


def _line_of(block: _Block) -> bytes:
    content = canonical_json([block.first_row, block.crc32, list(block.images)])
    return b"%08x %s\n" % (zlib.crc32(content), content)


def _read_index(path: Path) -> Iterator[_Block]:
    """The whole and undamaged lines."""
    for line in path.read_bytes().split(b"\n")[:-1] if path.exists() else []:
        checksum, _, content = line.partition(b" ")
        if checksum == b"%08x" % zlib.crc32(content):
            first_row, crc32, images = json.loads(content)
            yield _Block(first_row, tuple(images), crc32)


def _whole_lines(path: Path) -> int:
    """Bytes up to and with the last line end."""
    return path.read_bytes().rfind(b"\n") + 1 if path.exists() else 0


def _truncate(path: Path, size: int) -> None:
    if path.exists() and path.stat().st_size > size:
        with path.open("r+b") as file:
            file.truncate(size)
