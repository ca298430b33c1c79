"""The four ways in which Roboflow writes the labels of one split."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from stage1_core.data.sources.folder_listing import list_files
from stage1_core.data.sources.label_file import first_record, read_with_header
from stage1_core.errors import DataError


class SplitLabels(NamedTuple):
    """The labels of one split."""

    labels: dict[str, int]
    """Picture name, relative to the split's folder, → 1 when it shows a positive class, else 0."""
    classes: frozenset[str]
    """All class names of the split."""
    unlisted: int = 0
    """How many pictures of the folder the labels say nothing about."""


def _tfod_csv(folder: Path, positive: frozenset[str]) -> SplitLabels:
    """One line for each box. A picture without boxes stands only in the folder: it is a negative."""
    records = read_with_header(folder / "_annotations.csv", ("filename", "class"))
    names, classes = records.names("filename"), records.columns["class"]
    labels = dict.fromkeys(list_files(folder), 0) | dict.fromkeys(names, 0)
    labels |= dict.fromkeys(names[classes.isin(positive)], 1)
    return SplitLabels(labels, frozenset(classes))


def _coco(folder: Path, positive: frozenset[str]) -> SplitLabels:
    """Boxes refer to pictures and categories by number. Listed pictures without boxes are negatives."""
    path = folder / "_annotations.coco.json"
    try:
        content: Any = json.loads(path.read_bytes())
        categories = {entry["id"]: str(entry["name"]) for entry in content["categories"]}
        names = {entry["id"]: str(entry["file_name"]) for entry in content["images"]}
        boxes = [(names[box["image_id"]], categories[box["category_id"]]) for box in content["annotations"]]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not a COCO file ({type(error).__name__}: {error}); export it again") from error
    if len(set(names.values())) < len(content["images"]):
        raise DataError(f"{path} lists a picture or a picture's number twice; export it again")
    labels = dict.fromkeys(names.values(), 0) | {name: 1 for name, shown in boxes if shown in positive}
    return SplitLabels(labels, frozenset(categories.values()), _unlisted(folder, labels))


def _class_folders(folder: Path, positive: frozenset[str]) -> SplitLabels:
    """The first folder of a picture's path is its class."""
    classes = {name: name.split("/")[0] for name in list_files(folder) if "/" in name}
    labels = {name: int(shown in positive) for name, shown in classes.items()}
    return SplitLabels(labels, frozenset(classes.values()), _unlisted(folder, labels))


def _classes_csv(folder: Path, positive: frozenset[str]) -> SplitLabels:
    """One line for each picture, and one column of 0 and 1 for each class."""
    path = folder / "_classes.csv"
    classes = frozenset(first_record(path).fields) - {"filename"}
    records = read_with_header(path, ("filename",))
    names = records.names("filename")
    repeated = names.duplicated().to_numpy()
    if repeated.any():
        line = records.line_of(int(repeated.argmax()))
        raise DataError(f"{path}, line {line}: {names[int(repeated.argmax())]} is listed twice; delete one line")
    columns = [records.labels(name) for name in sorted(positive & classes)]
    shown = np.max([np.zeros(len(names), np.int8), *columns], axis=0)
    labels = dict(zip(names, shown.tolist(), strict=True))
    return SplitLabels(labels, classes, _unlisted(folder, labels))


def _unlisted(folder: Path, labels: Mapping[str, int]) -> int:
    return sum(name not in labels for name in list_files(folder))


LABEL_FILES: Mapping[str, str] = MappingProxyType(
    {"_annotations.csv": "tfod_csv", "_annotations.coco.json": "coco", "_classes.csv": "classes_csv"}
)
"""Label file → shape. A split with none of these has class folders."""

READERS: Mapping[str, Callable[[Path, frozenset[str]], SplitLabels]] = MappingProxyType(
    {"tfod_csv": _tfod_csv, "coco": _coco, "class_folders": _class_folders, "classes_csv": _classes_csv}
)
"""Shape → what reads the labels of a split's folder, given the names of the positive classes."""
