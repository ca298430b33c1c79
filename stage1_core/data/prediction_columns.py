"""Columns of predictions from an .npz file, a CSV or a Parquet table, under one name each and of one length."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stage1_core.data.sources.label_file import read_with_header
from stage1_core.errors import DataError
from stage1_core.predictions import Float, Text
from stage1_core.splits import Purpose

SUFFIXES = (".npz", ".csv", ".parquet")

LARGEST = 1e100
"""Size of a number from which no model's logit is; differences and squares of smaller ones are finite."""

_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "label": "label",
        "labels": "label",
        "id": "id",
        "ids": "id",
        "group": "group",
        "groups": "group",
        "source": "source",
        "sources": "source",
        "logit_0": "logit_0",
        "logit_1": "logit_1",
        "logit": "logit",
        "probability": "probability",
        "gate_logit": "gate_logit",
        "gate_logits": "gate_logit",
        "aux_logit_0": "aux_logit_0",
        "aux_logit_1": "aux_logit_1",
    }
)
"""What a column may be called, and what it is called here. All other columns are ignored."""

PAIRS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {"logits": ("logit_0", "logit_1"), "aux_logits": ("aux_logit_0", "aux_logit_1")}
)
"""Arrays ``(n, 2)`` of an .npz file, as two columns."""


@dataclass(frozen=True, slots=True, eq=False)
class PredictionColumns:
    """Columns of one length ``n``, numbers or text, by their name here."""

    path: Path
    columns: dict[str, NDArray[Any]]
    found: tuple[str, ...]
    """All column names of the file."""
    place: Callable[[int], str]
    """How an error names a row, by its position from 0."""
    purpose: Purpose = Purpose.FINAL_EVALUATION
    """What the rows were read for; FINAL_EVALUATION where the file does not say."""

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def numbers(self, name: str) -> Float:
        """``(n,)`` float64, none larger than `LARGEST`. Raises `DataError` with the first value that is none."""
        column = self.columns[name]
        try:
            values = column.astype(np.float64)  # of text too, to the last digit; pandas' parser may lose it
        except ValueError:
            values = pd.to_numeric(pd.Series(column), errors="coerce").to_numpy(dtype=np.float64)
        self.refuse(name, ~np.isfinite(values), "must be a finite number; correct it or leave the row out")
        self.refuse(name, np.abs(values) > LARGEST, f"must lie within ±{LARGEST:g}; correct it or leave the row out")
        return values

    def text(self, name: str) -> Text:
        """``(n,)`` text, "" where nothing is written."""
        return self.columns[name].astype(np.str_)

    def refuse(self, name: str, wrong: NDArray[np.bool_], demand: str) -> None:
        """Raise `DataError` with column, value and place of the first ``wrong`` row, if there is one."""
        if wrong.any():
            row = int(wrong.argmax())
            value = self.columns[name][row].item()
            shown = repr(value) if value != "" else "empty"
            raise DataError(f"{self.path}, {self.place(row)}: {name} is {shown} and {demand}")


def read_columns(path: Path) -> PredictionColumns:
    """The known columns of ``path``. Raises `DataError` for another kind of file, and where a column is wrong.

    All have one length, and at least one row. Columns that mean nothing here are ignored.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist; give a file of predictions ({', '.join(SUFFIXES)})")
    if path.is_dir():
        raise DataError(f"{path} is a folder; give a file of predictions ({', '.join(SUFFIXES)})")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(f"{path} ends with {suffix or 'no suffix'!r}; predictions are read from {', '.join(SUFFIXES)}")
    if suffix == ".npz":
        return _of_npz(path)
    return _of_csv(path) if suffix == ".csv" else _of_parquet(path)


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """The known arrays. Nothing that is pickled is loaded."""
    names = {*_NAMES, *PAIRS, "purpose"}
    try:
        with path.open("rb") as file, _opened_npz(file) as archive:
            return {name: _array(path, archive, name) for name in archive.files if name in names}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} cannot be read as .npz ({error}); write it with numpy.savez") from error


def _opened_npz(file: BinaryIO) -> Any:
    if not zipfile.is_zipfile(file):
        raise ValueError("it is no archive, or only a part of one")
    file.seek(0)
    return np.load(file, allow_pickle=False)


def _array(path: Path, archive: Any, name: str) -> NDArray[Any]:
    try:
        array: NDArray[Any] = archive[name]
    except ValueError as error:
        raise DataError(
            f"{path}: {name} cannot be read ({error}); pickled arrays are never loaded, save text with .astype(str)"
        ) from error
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8")
    if array.dtype.kind not in "biufU":
        raise DataError(f"{path}: {name} has dtype {array.dtype}; save numbers or text")
    return array


def _purpose(path: Path, arrays: Mapping[str, NDArray[Any]]) -> Purpose:
    if "purpose" not in arrays:
        return Purpose.FINAL_EVALUATION
    name = str(arrays["purpose"])
    if name not in tuple(Purpose):
        raise DataError(f"{path}: purpose is {name!r} and must be one of {', '.join(Purpose)}; or leave it out")
    return Purpose(name)


def _of_npz(path: Path) -> PredictionColumns:
    arrays = _read_npz(path)

    def columns() -> Iterator[tuple[str, NDArray[Any]]]:
        for name, array in arrays.items():
            if name in PAIRS:
                if array.ndim != 2 or array.shape[1] != 2:
                    raise DataError(f"{path}: {name} has shape {array.shape} and must be (n, 2), one row a picture")
                yield from zip(PAIRS[name], array.T, strict=True)
            elif name in _NAMES:
                if array.ndim != 1:
                    raise DataError(f"{path}: {name} has shape {array.shape} and must be (n,), one entry a picture")
                yield name, array

    found = _named(path, columns(), tuple(arrays))
    return PredictionColumns(path, found, tuple(arrays), lambda row: f"row {row + 1}", _purpose(path, arrays))


def _of_csv(path: Path) -> PredictionColumns:
    records = read_with_header(path, ())
    columns = [(name, column.to_numpy(dtype=np.str_)) for name, column in records.columns.items() if name in _NAMES]
    found = tuple(records.columns)
    return PredictionColumns(path, _named(path, columns, found), found, lambda row: f"line {records.line_of(row)}")


def _of_parquet(path: Path) -> PredictionColumns:
    try:
        with pq.ParquetFile(path) as file:
            found = tuple(file.schema_arrow.names)
            table = file.read(columns=[name for name in found if name in _NAMES])
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet ({error}); write it with pandas.to_parquet") from error
    columns = [(name, _of_arrow(table.column(place))) for place, name in enumerate(table.column_names)]
    return PredictionColumns(path, _named(path, columns, found), found, lambda row: f"row {row + 1}")


def _of_arrow(column: pa.ChunkedArray) -> NDArray[Any]:
    """Numbers as they are, missing ones as NaN; everything else as text, missing values as ""."""
    series: pd.Series = column.to_pandas()
    if series.dtype.kind in "biuf":
        return series.to_numpy()
    return series.astype("str").fillna("").to_numpy(dtype=np.str_)


def _named(path: Path, columns: Iterable[tuple[str, NDArray[Any]]], found: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """The columns under their names here. Raises `DataError` where one is doubled or of another length."""
    named: dict[str, NDArray[Any]] = {}
    for name, column in columns:
        known = _NAMES[name]
        if known in named:
            raise DataError(f"{path} has {known} twice, under two names; columns found: {', '.join(found)}. Keep one")
        named[known] = column
    lengths = {name: len(column) for name, column in named.items()}
    first = "label" if "label" in lengths else next(iter(lengths), "")
    other = next((name for name, length in lengths.items() if length != lengths[first]), None)
    if other is not None:
        raise DataError(f"{path}: {other} has {lengths[other]} rows, {first} has {lengths[first]}; they must be equal")
    if lengths and not lengths[first]:
        raise DataError(f"{path} holds no row; write one line for each picture")
    return named
