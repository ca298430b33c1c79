"""Pictures without labels, for pretraining and for measuring drift."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pandas as pd

from stage1_core.data.columns import UNLABELED
from stage1_core.data.sources.folder_listing import list_files
from stage1_core.data.sources.grouping import GroupPattern, groups_by_pattern
from stage1_core.data.sources.source import Listing, Source


class UnlabeledSource(Source):
    """Every picture below a folder, with label -1."""

    kind: Literal["unlabeled"] = "unlabeled"
    group_pattern: GroupPattern | None = None
    """Regular expression on the path relative to the root; its one pair of parentheses is the group (site, video)."""

    def listing(self) -> Listing:
        """One row for each picture, sorted by path. Raises `MissingSourceError`."""
        names = list_files(self.folder())
        groups, remarks = groups_by_pattern(names, self.group_pattern) if self.group_pattern else (None, ())
        return Listing(self.rows(self.pictures(), [UNLABELED] * len(names), groups=groups), remarks)

    def files(self) -> list[Path]:
        """None."""
        self.folder()
        return []

    def pictures(self) -> pd.Series:
        """All pictures below the root."""
        return f"{self.folder()}/" + pd.Series(list_files(self.folder()), dtype="str")
