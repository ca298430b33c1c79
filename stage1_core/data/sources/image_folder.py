"""Pictures in class folders: the name of a folder says what the pictures below it show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

import pandas as pd
from pydantic import Field, model_validator

from stage1_core.data.sources.folder_listing import list_files
from stage1_core.data.sources.grouping import GroupPattern, groups_by_pattern
from stage1_core.data.sources.source import Listing, Source, count
from stage1_core.errors import DataError

FolderNames = tuple[Annotated[str, Field(min_length=1)], ...]


class ImageFolderSource(Source):
    """Pictures anywhere below folders whose names stand for a class, as in ``root/train/roadwork/site_1/x.jpg``."""

    kind: Literal["image_folder"] = "image_folder"
    positive: Annotated[FolderNames, Field(min_length=1)]
    """Names of folders whose pictures have label 1."""
    negative: FolderNames = ()
    """Names of folders whose pictures have label 0."""
    ignored: FolderNames = ()
    """Names of folders that are passed over."""
    group_pattern: GroupPattern | None = None
    """Regular expression on the path relative to the root; its one pair of parentheses is the group (site, video)."""

    @model_validator(mode="after")
    def _each_folder_means_one_thing(self) -> Self:
        names = [*self.positive, *self.negative, *self.ignored]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"folder {repeated[0]!r} stands in more than one of positive, negative and ignored")
        return self

    def listing(self) -> Listing:
        """One row for each picture, sorted by path.

        Raises `MissingSourceError`; `DataError` for a picture under no listed folder, or under folders of both classes.
        """
        meaning = dict.fromkeys(self.positive, 1) | dict.fromkeys(self.negative, 0) | dict.fromkeys(self.ignored)
        labelled = [(name, self._label(name, meaning)) for name in list_files(self.folder())]
        names = [name for name, label in labelled if label is not None]
        groups, remarks = groups_by_pattern(names, self.group_pattern) if self.group_pattern else (None, ())
        labels = [label for _, label in labelled if label is not None]
        return Listing(self.rows(self._paths(names), labels, groups=groups), (*remarks, *self._unseen(names)))

    def files(self) -> list[Path]:
        """None: the folders are the labels."""
        self.folder()
        return []

    def pictures(self) -> pd.Series:
        """All pictures below the root."""
        return self._paths(list_files(self.folder()))

    def _paths(self, names: Sequence[str]) -> pd.Series:
        return f"{self.folder()}/" + pd.Series(names, dtype="str")

    def _label(self, name: str, meaning: dict[str, int | None]) -> int | None:
        found = {meaning[part] for part in name.split("/")[:-1] if part in meaning}
        if None in found:
            return None
        if len(found) != 1:
            which = "folders of both classes" if found else "no folder that is listed in positive, negative or ignored"
            raise DataError(f"source {self.name!r}: {name} lies under {which}; list or move its folder")
        return found.pop()

    def _unseen(self, names: Sequence[str]) -> tuple[str, ...]:
        seen = {part for name in names for part in name.split("/")[:-1]}
        missing = [name for name in (*self.positive, *self.negative) if name not in seen]
        if not missing:
            return ()
        return (f"{count(len(missing), 'class folder')} without pictures: {', '.join(missing)}",)
