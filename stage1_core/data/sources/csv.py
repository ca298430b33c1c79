"""Any CSV with a header line: columns for path and label, and if there are any for group and description."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
from pydantic import Field

from stage1_core.data.sources.label_file import LabelFile, read_with_header
from stage1_core.data.sources.source import Listing, Source, existing_file, existing_folder, under

ColumnName = Annotated[str, Field(min_length=1)]


class CsvSource(Source):
    """Pictures listed in a CSV whose column names are set here: the way in for any two-class image task."""

    kind: Literal["csv"] = "csv"
    label_file: str = "labels.csv"
    """The CSV with a header line, relative to the root or absolute."""
    image_folder: str = "."
    """Where relative paths are looked up, relative to the root or absolute. Absolute paths stay as they are."""
    path_column: ColumnName = "path"
    """Column of the picture's path."""
    label_column: ColumnName = "label"
    """Column of the label: 1 is the positive class, 0 the negative one, -1 unknown."""
    group_column: ColumnName | None = None
    """Column of what must never straddle splits (scene, video, patient); an empty field makes a group of its own."""
    description_column: ColumnName | None = None
    """Column of a text about the picture, compared with the label by the audit."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    """The character between fields."""

    def listing(self) -> Listing:
        """One row for each record, in the file's order. Raises `MissingSourceError`, or `DataError` naming the line."""
        records, paths = self._records()
        return Listing(
            self.rows(
                paths,
                records.labels(self.label_column, allowed=("0", "1", "-1")),
                groups=self.group_column and records.columns[self.group_column],
                descriptions=self.description_column and records.columns[self.description_column],
            )
        )

    def files(self) -> list[Path]:
        """The CSV."""
        return [self.folder() / self.label_file]

    def pictures(self) -> pd.Series:
        """The listed pictures."""
        return self._records()[1]

    def _records(self) -> tuple[LabelFile, pd.Series]:
        images = existing_folder(self.folder() / self.image_folder, self.name)
        wanted = (self.path_column, self.label_column, self.group_column, self.description_column)
        file = existing_file(self.folder() / self.label_file, self.name)
        records = read_with_header(file, filter(None, wanted), delimiter=self.delimiter)
        return records, under(images, records.names(self.path_column))
