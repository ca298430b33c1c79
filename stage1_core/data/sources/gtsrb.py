"""German traffic-sign crops (GTSRB): class folders with a ``GT-000NN.csv`` each, or the Kaggle copy without them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field

from stage1_core.data.sources.folder_listing import list_files
from stage1_core.data.sources.grouping import all_but_last_field
from stage1_core.data.sources.label_file import read_with_header
from stage1_core.data.sources.source import Listing, Source, existing_folder
from stage1_core.errors import DataError

SignClass = Annotated[int, Field(ge=0, le=42)]


class _ClassFolder(NamedTuple):
    sign_class: int
    folder: Path
    label_file: Path | None


class GtsrbSource(Source):
    """Crops of single signs. A track is some thirty frames of one physical sign and is one group."""

    kind: Literal["gtsrb"] = "gtsrb"
    image_folder: str = "Final_Training/Images"
    """The folder of the class folders, relative to the root or absolute; "Train" in the Kaggle copy."""
    positive_classes: Annotated[tuple[SignClass, ...], Field(min_length=1)] = (25,)
    """Classes with label 1; 25 is "Road work". All others have label 0."""

    def listing(self) -> Listing:
        """One row for each crop, by class, in the order of the label files.

        Raises `MissingSourceError`; `DataError` when a label file and its folder name different classes.
        """
        names: list[str] = []
        labels: list[int] = []
        for place in self._class_folders():
            in_folder = self._names(place)
            names += [f"{place.folder.name}/{name}" for name in in_folder]
            labels += [int(place.sign_class in self.positive_classes)] * len(in_folder)
        groups = [_track(name) for name in names]
        rows = self.rows(f"{self._images()}/" + pd.Series(names, dtype="str"), labels, groups=groups)
        one_sided = len(np.unique(labels)) == 1
        remark = f"all crops have label {labels[0]}: a model may learn that crops have this label; add other classes"
        return Listing(rows, (remark,) if one_sided else ())

    def files(self) -> list[Path]:
        """The label file of each class folder that has one."""
        return [place.label_file for place in self._class_folders() if place.label_file is not None]

    def pictures(self) -> pd.Series:
        """The crops of all classes."""
        names = [f"{place.folder.name}/{name}" for place in self._class_folders() for name in self._names(place)]
        return f"{self._images()}/" + pd.Series(names, dtype="str")

    def _images(self) -> Path:
        return existing_folder(self.folder() / self.image_folder, self.name)

    def _class_folders(self) -> list[_ClassFolder]:
        places = []
        for folder in sorted(self._images().iterdir()):
            if folder.is_dir() and folder.name.isdecimal():
                label_files = sorted(folder.glob("GT-*.csv"))
                places.append(_ClassFolder(int(folder.name), folder, label_files[0] if label_files else None))
        if not places:
            raise DataError(f"{self._images()} has no class folders such as 00025 or 25; correct image_folder")
        return places

    def _names(self, place: _ClassFolder) -> list[str]:
        if place.label_file is None:
            return list_files(place.folder)
        records = read_with_header(place.label_file, ("Filename", "ClassId"), delimiter=";")
        classes = records.columns["ClassId"]
        wrong = (classes != str(place.sign_class)).to_numpy()
        if wrong.any():
            position = int(wrong.argmax())
            raise DataError(
                f"{place.label_file}, line {records.line_of(position)}: ClassId is {classes.iloc[position]!r} in the "
                f"folder of class {place.sign_class}; move the picture or correct the line"
            )
        return list(records.names("Filename"))


def _track(name: str) -> str:
    """Class folder and track: the last two fields of a name are track and frame, in both copies of the set."""
    folder, _, file = name.rpartition("/")
    track = all_but_last_field(file).rpartition("_")[2]
    return f"{int(folder)}/{track}" if track else ""
