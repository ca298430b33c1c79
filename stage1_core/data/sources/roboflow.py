"""Roboflow exports: boxes in a CSV or in COCO, class folders, or a table of classes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
from pydantic import Field

from stage1_core.data.sources.folder_listing import list_files
from stage1_core.data.sources.grouping import roboflow_ancestor
from stage1_core.data.sources.roboflow_shapes import LABEL_FILES, READERS, SplitLabels
from stage1_core.data.sources.source import Listing, MissingSourceError, Source, count, existing_folder, under
from stage1_core.errors import DataError

SplitFolder = Literal["train", "valid", "test"]


class RoboflowSource(Source):
    """An export whose classes are named in the config. Augmented copies of one picture are one group."""

    kind: Literal["roboflow"] = "roboflow"
    positive: Annotated[tuple[str, ...], Field(min_length=1)]
    """Class names, as exported, that give a picture label 1; a picture with none of them has label 0."""
    shape: Literal["auto", "tfod_csv", "coco", "class_folders", "classes_csv"] = "auto"
    """How labels are written: ``_annotations.csv``, ``_annotations.coco.json``, folders, ``_classes.csv``, or seen."""
    splits: tuple[SplitFolder, ...] = ()
    """Subfolders to read; by default those of train, valid and test that exist, or the root where none does."""

    def listing(self) -> Listing:
        """One row for each picture, by split, sorted by path.

        Raises `MissingSourceError`; `DataError` when none of ``positive`` is a class of the export.
        """
        found = {folder: self._labels_in(folder) for folder in self._folders()}
        known = {name for split in found.values() for name in split.classes}
        unknown = sorted(set(self.positive) - known)
        if len(unknown) == len(set(self.positive)):
            raise DataError(
                f"source {self.name!r}: none of the positive classes {', '.join(unknown)} occurs in the export; its "
                f"classes are {', '.join(sorted(known)) or 'none'}. Correct positive"
            )
        paths = pd.concat(
            [under(folder, pd.Series(split.labels.keys(), dtype="str")) for folder, split in found.items()]
        )
        labels = [label for split in found.values() for label in split.labels.values()]
        rows = self.rows(paths, labels, groups=[roboflow_ancestor(path) for path in paths])
        remarks = [f"no picture shows the positive class {name}" for name in unknown]
        unlisted = sum(split.unlisted for split in found.values())
        if unlisted:
            remarks.append(f"{count(unlisted, 'picture')} left out, because the label files do not list them")
        return Listing(rows, tuple(remarks))

    def files(self) -> list[Path]:
        """The label file of each split that has one."""
        return [folder / name for folder in self._folders() for name in LABEL_FILES if (folder / name).is_file()]

    def pictures(self) -> pd.Series:
        """All pictures of the splits."""
        paths = [f"{folder}/{name}" for folder in self._folders() for name in list_files(folder)]
        return pd.Series(paths, dtype="str")

    def _folders(self) -> list[Path]:
        if self.splits:
            return [existing_folder(self.folder() / split, self.name) for split in self.splits]
        present = [self.folder() / split for split in ("train", "valid", "test") if (self.folder() / split).is_dir()]
        return present or [self.folder()]

    def _labels_in(self, folder: Path) -> SplitLabels:
        shape = self._seen_shape(folder) if self.shape == "auto" else self.shape
        label_file = next((name for name, of_shape in LABEL_FILES.items() if of_shape == shape), None)
        if label_file is not None and not (folder / label_file).is_file():
            raise MissingSourceError(f"source {self.name!r} needs {folder / label_file}; correct shape or root")
        return READERS[shape](folder, frozenset(self.positive))

    def _seen_shape(self, folder: Path) -> str:
        seen = [shape for name, shape in LABEL_FILES.items() if (folder / name).is_file()]
        if len(seen) > 1:
            raise DataError(f"source {self.name!r}: {folder} has label files of {' and '.join(seen)}; set shape")
        return seen[0] if seen else "class_folders"
