"""The two Kaggle sets: construction sites, which are all roadwork, and road issues, which are none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

import pandas as pd
from pydantic import Field

from stage1_core.data.sources.folder_listing import list_files
from stage1_core.data.sources.natix_csv import read_name_label_file
from stage1_core.data.sources.source import Listing, Source, count, existing_file, existing_folder, under
from stage1_core.errors import DataError

LABEL_OF: Mapping[str, Literal[0, 1]] = MappingProxyType({"construction": 1, "road_issues": 0})
"""The label of every picture of a set."""


class KaggleSource(Source):
    """A set whose pictures all have one label. Two such sets alone teach a model to tell the sets apart."""

    kind: Literal["kaggle"] = "kaggle"
    content: Literal["construction", "road_issues"]
    """"construction": every picture has label 1; "road_issues": every picture has label 0."""
    image_folder: str = "."
    """The pictures, relative to the root or absolute, such as "data/Road Issues" or "train"."""
    label_file: str | None = None
    """CSV of ``image,label`` lines where the set was converted; without it, all pictures of the folder are taken."""
    excluded_folders: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Names of folders that are passed over: "Damaged Road issues" and "Mixed Issues" may show actual works."""

    def listing(self) -> Listing:
        """One row for each line of the CSV, or for each picture sorted by path.

        Raises `MissingSourceError`; `DataError` when the CSV has another label than this set's.
        """
        paths = self.pictures()
        label = LABEL_OF[self.content]
        excluded = len(list_files(self._images())) - len(paths) if self.label_file is None else 0
        remarks = (f"{count(excluded, 'picture')} in excluded folders left out",) if excluded else ()
        return Listing(self.rows(paths, [label] * len(paths)), remarks)

    def files(self) -> list[Path]:
        """The CSV, if there is one."""
        return [self.folder() / self.label_file] if self.label_file else []

    def pictures(self) -> pd.Series:
        """The listed pictures, or those of the folder."""
        if self.label_file is None:
            kept = [
                name for name in list_files(self._images()) if not set(name.split("/")) & set(self.excluded_folders)
            ]
            return under(self._images(), pd.Series(kept, dtype="str"))
        return self._listed(existing_file(self.folder() / self.label_file, self.name))

    def _images(self) -> Path:
        return existing_folder(self.folder() / self.image_folder, self.name)

    def _listed(self, file: Path) -> pd.Series:
        records = read_name_label_file(file)
        label = LABEL_OF[self.content]
        wrong = records.labels("label") != label
        if wrong.any():
            raise DataError(
                f"{file}, line {records.line_of(int(wrong.argmax()))}: the label is {1 - label}, but {self.content!r} "
                f"pictures all have label {label}; correct the file or set the right content"
            )
        names = records.names("name")
        excluded = names.map(lambda name: bool(set(name.split("/")) & set(self.excluded_folders))).astype(bool)
        return under(self._images(), names[~excluded].reset_index(drop=True))
