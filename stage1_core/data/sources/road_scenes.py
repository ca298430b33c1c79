"""Rendered road scenes: pictures and a ``scenes.csv`` that names their drives and districts."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import pandas as pd

from stage1_core.data.sources.label_file import LabelFile, read_with_header
from stage1_core.data.sources.source import Listing, Source, existing_file, under


class RoadScenesSource(Source):
    """A folder written by the road-scene generator; each district is a source of its own in per-source metrics."""

    kind: Literal["road_scenes"] = "road_scenes"

    synthetic: ClassVar[bool] = True

    def listing(self) -> Listing:
        """One row for each scene, grouped by drive. Raises `MissingSourceError`, or `DataError` naming the line."""
        records, paths = self._records()
        labels = records.labels("label")
        scenes = records.columns
        return Listing(self.rows(paths, labels, groups=scenes["group"], parts=scenes["source"]))

    def files(self) -> list[Path]:
        """The file ``scenes.csv``."""
        return [self.folder() / "scenes.csv"]

    def pictures(self) -> pd.Series:
        """The listed pictures."""
        return self._records()[1]

    def _records(self) -> tuple[LabelFile, pd.Series]:
        file = existing_file(self.folder() / "scenes.csv", self.name)
        records = read_with_header(file, ("image", "label", "group", "source"))
        return records, under(self.folder(), records.names("image"))
