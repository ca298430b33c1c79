"""Predictions that somebody brings along: an .npz file, a CSV or a Parquet table, checked down to the value."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.special import expit, logit

from stage1_core.data.sources.label_file import read_with_header
from stage1_core.errors import DataError
from stage1_core.predictions import Float, Integer, Predictions, Scores, Text
from stage1_core.splits import Purpose

SUFFIXES = (".npz", ".csv", ".parquet")

ONE_SOURCE = "all"
"""Source of rows that name none."""

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

_PAIRS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {"logits": ("logit_0", "logit_1"), "aux_logits": ("aux_logit_0", "aux_logit_1")}
)
"""Arrays ``(n, 2)`` of an .npz file, as two columns."""

_NEARLY_CERTAIN = 0.999_999
"""Above this probability only the less likely class has the digits that its logit needs."""

_DIGITS = 15
"""Decimal digits of a probability that a float holds for certain."""

_HOW_TO_SCORE = "logit_0 and logit_1, or logit, or probability"


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """Columns of one length ``n``, numbers or text, by their name here."""

    path: Path
    columns: dict[str, NDArray[Any]]
    found: tuple[str, ...]
    """All column names of the file."""
    place: Callable[[int], str]
    """How an error names a row, by its position from 0."""

    def __len__(self) -> int:
        return len(self.columns["label"])

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


def read_predictions(path: Path) -> Predictions:
    """Labelled predictions of anybody's model.

    Needs ``label`` (0 or 1) and one kind of score: ``logit_0`` and ``logit_1``, ``logit`` (of P(roadwork)), or
    ``probability`` (of roadwork, strictly between 0 and 1). May have ``id``, ``group``, ``source``, ``gate_logit``,
    ``aux_logit_0`` and ``aux_logit_1``; in .npz files also ``logits`` and ``aux_logits`` of shape ``(n, 2)``, and what
    `Predictions.save` writes. Rows without id are numbered from 1, rows without group are a group each. The purpose is
    FINAL_EVALUATION where the file does not say another. Raises `DataError` naming the column, value and row that is
    wrong.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist; give a file of predictions ({', '.join(SUFFIXES)})")
    if path.is_dir():
        raise DataError(f"{path} is a folder; give a file of predictions ({', '.join(SUFFIXES)})")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(f"{path} ends with {suffix or 'no suffix'!r}; predictions are read from {', '.join(SUFFIXES)}")
    if suffix == ".npz":
        arrays = _read_npz(path)
        return _predictions(_of_arrays(path, arrays), _purpose(path, arrays))
    table = _of_csv(path) if suffix == ".csv" else _of_parquet(path)
    return _predictions(table, Purpose.FINAL_EVALUATION)


def _predictions(table: _Table, purpose: Purpose) -> Predictions:
    labels = _labels(table)
    ids = _ids(table)
    logits = _logits(table)
    gate = table.numbers("gate_logit") if "gate_logit" in table.columns else None
    scores = Scores(ids, logits, gate, aux_logits=_pair(table, *_PAIRS["aux_logits"]))
    return Predictions(purpose, scores, labels, _groups(table, ids), _sources(table))


def _labels(table: _Table) -> Integer:
    values = table.numbers("label")
    table.refuse("label", ~np.isin(values, (0, 1)), "must be 0 or 1, where 1 is the positive class (roadwork)")
    return values.astype(np.int64)


def _logits(table: _Table) -> Float:
    """``(n, 2)`` from whichever kind of score there is."""
    kinds = {"logit_0": "logit_0 and logit_1", "logit_1": "logit_0 and logit_1"}
    given = sorted(
        {kinds.get(name, name) for name in ("logit_0", "logit_1", "logit", "probability") if name in table.columns}
    )
    if len(given) != 1:
        have = (
            f"scores of {len(given)} kinds: {'; '.join(given)}. Keep one"
            if given
            else f"no scores: add {_HOW_TO_SCORE}"
        )
        raise DataError(f"{table.path} has {have} (columns found: {', '.join(table.found)})")
    pair = _pair(table, *_PAIRS["logits"])
    if pair is not None:
        return pair
    margin = table.numbers("logit") if "logit" in table.columns else _logit(table)
    return np.stack([-margin / 2, margin / 2], axis=1)


def _pair(table: _Table, zero: str, one: str) -> Float | None:
    missing = [name for name in (zero, one) if name not in table.columns]
    if len(missing) == 2:
        return None
    if missing:
        raise DataError(f"{table.path} has one of {zero} and {one}; add {missing[0]}: both are needed")
    return np.stack([table.numbers(zero), table.numbers(one)], axis=1)


def _logit(table: _Table) -> Float:
    """``(n,)`` logits of probabilities; p and 1 - p tie, and a probability equal to a threshold still reaches it.

    Left alone, 1 - p is not the number that its digits say, and the way through the logit and back loses some units in
    the last place, downwards in one of seven cases.
    """
    probability = table.numbers("probability")
    outside = (probability < 0) | (probability > 1)
    table.refuse("probability", outside, "must lie between 0 and 1; a logit goes into a column logit")
    certain = (probability == 0) | (probability == 1)
    table.refuse(
        "probability", certain, "would be an infinite logit; give logits, or write the probability with more digits"
    )
    size: Float = np.abs(logit(probability))
    likelier = np.round(np.maximum(probability, 1 - probability), _DIGITS)
    plain = likelier <= _NEARLY_CERTAIN
    size[plain] = logit(likelier[plain])
    short = plain & (expit(size) < likelier)
    size[short] += 2 * np.finfo(np.float64).eps / (likelier * (1 - likelier))[short]
    return np.where(probability >= 0.5, size, -size)


def _ids(table: _Table) -> Text:
    if "id" not in table.columns:
        return np.arange(1, len(table) + 1).astype(np.str_)
    ids = table.text("id")
    table.refuse("id", ids == "", "must name the row; fill it in, or leave the whole column out")
    repeated = pd.Series(ids).duplicated().to_numpy()
    if repeated.any():
        second = int(repeated.argmax())
        first = int((ids == ids[second]).argmax())
        table.refuse("id", repeated, f"is also that of {table.place(first)}; ids must be unique: rename or drop a row")
    return ids


def _groups(table: _Table, ids: Text) -> Text:
    if "group" not in table.columns:
        return ids
    groups = table.text("group")
    return np.where(groups == "", np.char.add("only ", ids), groups)


def _sources(table: _Table) -> Text:
    if "source" not in table.columns:
        return np.full(len(table), ONE_SOURCE)
    sources = table.text("source")
    return np.where(sources == "", ONE_SOURCE, sources)


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """The known arrays. Nothing that is pickled is loaded."""
    names = {*_NAMES, *_PAIRS, "purpose"}
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


def _of_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> _Table:
    def columns() -> Iterator[tuple[str, NDArray[Any]]]:
        for name, array in arrays.items():
            if name in _PAIRS:
                if array.ndim != 2 or array.shape[1] != 2:
                    raise DataError(f"{path}: {name} has shape {array.shape} and must be (n, 2), one row a picture")
                yield from zip(_PAIRS[name], array.T, strict=True)
            elif name in _NAMES:
                if array.ndim != 1:
                    raise DataError(f"{path}: {name} has shape {array.shape} and must be (n,), one entry a picture")
                yield name, array

    return _table(path, list(columns()), tuple(arrays), lambda row: f"row {row + 1}")


def _of_csv(path: Path) -> _Table:
    records = read_with_header(path, ())
    columns = [(name, column.to_numpy(dtype=np.str_)) for name, column in records.columns.items() if name in _NAMES]
    return _table(path, columns, tuple(records.columns), lambda row: f"line {records.line_of(row)}")


def _of_parquet(path: Path) -> _Table:
    try:
        with pq.ParquetFile(path) as file:
            found = tuple(file.schema_arrow.names)
            table = file.read(columns=[name for name in found if name in _NAMES])
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet ({error}); write it with pandas.to_parquet") from error
    columns = [(name, _of_arrow(table.column(place))) for place, name in enumerate(table.column_names)]
    return _table(path, columns, found, lambda row: f"row {row + 1}")


def _of_arrow(column: pa.ChunkedArray) -> NDArray[Any]:
    """Numbers as they are, missing ones as NaN; everything else as text, missing values as ""."""
    series: pd.Series = column.to_pandas()
    if series.dtype.kind in "biuf":
        return series.to_numpy()
    return series.astype("str").fillna("").to_numpy(dtype=np.str_)


def _table(
    path: Path, columns: list[tuple[str, NDArray[Any]]], found: tuple[str, ...], place: Callable[[int], str]
) -> _Table:
    """The columns under their names here. Raises `DataError` where one is missing, doubled, or of another length."""
    named: dict[str, NDArray[Any]] = {}
    for name, column in columns:
        known = _NAMES[name]
        if known in named:
            raise DataError(f"{path} has {known} twice, under two names; columns found: {', '.join(found)}. Keep one")
        named[known] = column
    if "label" not in named:
        raise DataError(f"{path} has no column label (0 or 1); columns found: {', '.join(found) or 'none'}. Add it")
    lengths = {name: len(column) for name, column in named.items()}
    other = next((name for name, length in lengths.items() if length != lengths["label"]), None)
    if other is not None:
        raise DataError(f"{path}: {other} has {lengths[other]} rows, label has {lengths['label']}; they must be equal")
    if not lengths["label"]:
        raise DataError(f"{path} holds no row; write one line for each picture")
    return _Table(path, named, found, place)
