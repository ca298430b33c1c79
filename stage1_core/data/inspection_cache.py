"""Fingerprints of pictures seen before, kept by path, size and modification time."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa

from stage1_core.data.replacing import replaced_file

_COLUMNS = {
    "path": "str",
    "size": "int64",  # bytes
    "mtime_ns": "int64",
    "sha256": "str",
    "phash": "uint64",
    "width": "int32",
    "height": "int32",
    "reason": "str",
}
_KEY = ["path", "size", "mtime_ns"]
_PREFIX = "pictures-1-"
"""Another fingerprint algorithm gets another number, and old files are then not read."""
_PARTS_BEFORE_MERGE = 16


@dataclass(frozen=True, slots=True)
class InspectionCache:
    """Parquet files in ``folder``, each written whole or not at all; a damaged one is deleted, its pictures reopened.

    Several processes may use one folder: at worst a picture is opened twice.
    """

    folder: Path

    def known(self) -> pd.DataFrame:
        """All fingerprints, one row for each path, size and modification time."""
        frames = [frame for part in self._parts() if (frame := _read(part)) is not None]
        return pd.concat([_empty(), *frames], ignore_index=True).drop_duplicates(_KEY, ignore_index=True)

    def add(self, fingerprints: pd.DataFrame) -> None:
        """Keep new fingerprints: the columns of `known`, in any order."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write(fingerprints)
        parts = self._parts()
        if len(parts) > _PARTS_BEFORE_MERGE:
            self._write(self.known())
            for part in parts:
                part.unlink(missing_ok=True)

    def _parts(self) -> list[Path]:
        return sorted(self.folder.glob(f"{_PREFIX}*.parquet"))

    def _write(self, fingerprints: pd.DataFrame) -> None:
        with replaced_file(self.folder / f"{_PREFIX}{uuid.uuid4().hex}.parquet") as path:
            fingerprints[list(_COLUMNS)].astype(_COLUMNS).to_parquet(path, index=False)


def _empty() -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in _COLUMNS.items()})


def _read(part: Path) -> pd.DataFrame | None:
    """The fingerprints in one file; None where another process has merged it away or it is damaged (then deleted)."""
    try:
        frame = pd.read_parquet(part)
        return frame[list(_COLUMNS)].astype(_COLUMNS)
    except FileNotFoundError:
        return None
    except (OSError, KeyError, ValueError, TypeError, pa.ArrowException):
        part.unlink(missing_ok=True)
        return None
