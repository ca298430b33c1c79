"""A folder of pictures and a CSV of ``name,label`` lines, with or without a header: the NATIX layout."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pandas as pd

from stage1_core.data.sources.folder_listing import is_picture
from stage1_core.data.sources.label_file import FirstRecord, LabelFile, first_record, read_records
from stage1_core.data.sources.source import Listing, Source, existing_file, existing_folder, under


class NatixCsvSource(Source):
    """Pictures whose labels stand in a two-column CSV. A listed picture that is missing is found when it is opened."""

    kind: Literal["natix_csv"] = "natix_csv"
    label_file: str = "train_labels.csv"
    """The CSV, relative to the root or absolute: ``name,label`` lines, label 0 or 1; a header line may stand first."""
    image_folder: str = "train"
    """Where relative names are looked up, relative to the root or absolute. Absolute names stay as they are."""

    def listing(self) -> Listing:
        """One row for each line, in the file's order. Raises `MissingSourceError`, or `DataError` naming the line."""
        records, paths = self._records()
        return Listing(self.rows(paths, records.labels("label")))

    def files(self) -> list[Path]:
        """The CSV."""
        return [self.folder() / self.label_file]

    def pictures(self) -> pd.Series:
        """The listed pictures."""
        return self._records()[1]

    def _records(self) -> tuple[LabelFile, pd.Series]:
        images = existing_folder(self.folder() / self.image_folder, self.name)
        records = read_name_label_file(existing_file(self.folder() / self.label_file, self.name))
        return records, under(images, records.names("name"))


def read_name_label_file(path: Path) -> LabelFile:
    """The columns "name" and "label" of a two-column CSV, whether or not it begins with a header line.

    Raises `DataError` naming the line that does not have two fields.
    """
    first = first_record(path)
    return read_records(path, ("name", "label"), header_lines=first.lines if _is_header(first) else 0)


def _is_header(first: FirstRecord) -> bool:
    """A header has a word where lines have a number; a picture's name followed by a word is a wrong label instead."""
    if len(first.fields) < 2 or is_picture(first.fields[0]):
        return False
    label = first.fields[1]
    return label != "" and not _is_number(label)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
