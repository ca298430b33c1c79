"""Reads CSV label files of any size column by column, and finds the line that is wrong when one is."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from stage1_core.errors import DataError


class FirstRecord(NamedTuple):
    """The first record of a CSV file that is not blank."""

    fields: tuple[str, ...]
    lines: int
    """Physical lines up to and including this record."""


class LabelFile(NamedTuple):
    """The records of a label file as columns of trimmed text."""

    path: Path
    columns: dict[str, pd.Series]
    lines_before: int
    """Physical lines before the first record: 0, or those of the header."""
    delimiter: str

    def line_of(self, record: int) -> int:
        """Physical line number, from 1, of the record with this position, from 0."""
        for position, (line, _) in enumerate(_records(self.path, self.delimiter, after_line=self.lines_before)):
            if position == record:
                return line
        raise AssertionError(record)

    def labels(self, column: str, allowed: Iterable[str] = ("0", "1")) -> npt.NDArray[np.int8]:
        """The labels as integers. Raises `DataError` with line number and value for anything but ``allowed``."""
        values = pa.array(self.columns[column])
        allowed = tuple(allowed)
        known = pc.is_in(values, value_set=pa.array(allowed, values.type))
        wrong = pc.index(known, pa.scalar(False)).as_py()
        if wrong >= 0:
            raise DataError(
                f"{self.path}, line {self.line_of(wrong)}: the label is {values[wrong].as_py()!r} "
                f"and must be {' or '.join(allowed)}; correct the line or delete it"
            )
        labels: npt.NDArray[np.int8] = pc.cast(values, pa.int8()).to_numpy(zero_copy_only=False)
        return labels

    def names(self, column: str) -> pd.Series:
        """The picture names. Raises `DataError` with the line number of an empty one."""
        names = self.columns[column]
        empty = (names == "").to_numpy()
        if empty.any():
            line = self.line_of(int(empty.argmax()))
            raise DataError(f"{self.path}, line {line}: there is no picture name; correct the line or delete it")
        return names


def first_record(path: Path, *, delimiter: str = ",") -> FirstRecord:
    """The first record that is not blank, fields trimmed; no fields and 0 lines when there is none.

    Raises `DataError` when the text is not UTF-8.
    """
    for line, fields in _records(path, delimiter, after_line=0):
        return FirstRecord(fields, line)
    return FirstRecord((), 0)


def read_records(path: Path, columns: Sequence[str], *, header_lines: int, delimiter: str = ",") -> LabelFile:
    """All records after ``header_lines`` physical lines; ``columns`` names all fields of a record, in order.

    Accepts a byte-order mark, CRLF, quotes and blank lines. Raises `DataError` naming the line of a record with more
    or fewer fields, or when the text is not UTF-8.
    """
    blank_or_wrong: list[Any] = []

    def note(row: Any) -> str:
        if row.text.strip():
            blank_or_wrong.append(row)
        return "skip"

    try:
        table = pa_csv.read_csv(
            path,
            read_options=pa_csv.ReadOptions(column_names=list(columns), skip_rows=header_lines),
            parse_options=pa_csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=note, ignore_empty_lines=True
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV file" not in str(error):
            raise DataError(f"{path} is not a UTF-8 text file of {delimiter!r}-separated fields: {error}") from error
        table = pa.table({name: pa.array([], pa.string()) for name in columns})
    if blank_or_wrong:
        raise DataError(_wrong_number_of_fields(path, len(columns), header_lines, delimiter))
    trimmed = {name: pc.utf8_trim_whitespace(table.column(name)) for name in columns}
    return LabelFile(
        path, {name: pd.Series(text, dtype="str") for name, text in trimmed.items()}, header_lines, delimiter
    )


def read_with_header(path: Path, needed: Iterable[str], *, delimiter: str = ",") -> LabelFile:
    """All records of a file whose first line names its columns.

    Raises `DataError` when a ``needed`` column is missing or a column name occurs twice, listing those found, and as
    `read_records` does.
    """
    header = first_record(path, delimiter=delimiter)
    missing = [name for name in needed if name not in header.fields]
    if missing:
        found = ", ".join(header.fields) or "none"
        raise DataError(f"{path} has no column {', '.join(missing)}; columns found: {found}. Correct the column names")
    if len(set(header.fields)) < len(header.fields):
        raise DataError(f"{path} has two columns of one name: {', '.join(header.fields)}; rename one")
    return read_records(path, header.fields, header_lines=header.lines, delimiter=delimiter)


def _records(path: Path, delimiter: str, *, after_line: int) -> Iterator[tuple[int, tuple[str, ...]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for _ in range(after_line):
                file.readline()
            reader = csv.reader(file, delimiter=delimiter)
            start = after_line + 1
            for fields in reader:
                trimmed = tuple(field.strip() for field in fields)
                if any(trimmed) or len(trimmed) > 1:
                    yield start, trimmed
                start = after_line + reader.line_num + 1
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a UTF-8 CSV file ({error}); save it as UTF-8 text") from error


def _wrong_number_of_fields(path: Path, expected: int, header_lines: int, delimiter: str) -> str:
    for line, fields in _records(path, delimiter, after_line=header_lines):
        if len(fields) != expected:
            return (
                f"{path}, line {line}: {len(fields)} fields where {expected} are expected: "
                f"{delimiter.join(fields)!r}; correct the line (quote a name that holds {delimiter!r})"
            )
    return f"{path}: a line does not have {expected} fields separated by {delimiter!r}; correct it"
