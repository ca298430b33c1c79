"""ROADWork (CMU): COCO files whose pictures also carry a description and tags of the whole scene."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import pandas as pd
from pydantic import Field

from stage1_core.data.sources.grouping import all_but_last_field
from stage1_core.data.sources.source import Listing, Source, count, existing_file, existing_folder, under
from stage1_core.errors import DataError

WORK_ZONE_CATEGORIES = (
    "Cone",
    "Drum",
    "Barricade",
    "Work Vehicle",
    "Vertical Panel",
    "Tubular Marker",
    "Arrow Board",
    "TTC Message Board",
    "TTC Sign",
    "Work Equipment",
    "Worker",
    "Other Roadwork Objects",
)
"""Objects that stand in work zones only."""

ORDINARY_CATEGORIES = ("Police Officer", "Police Vehicle", "Sidewalk", "Fence", "Barrier", "Road", "Bike Lane")
"""Objects that are annotated on ordinary roads as well: they prove nothing."""

WORK_ALTERATIONS = frozenset({"partially blocked", "fully blocked", "lane shift"})
"""Values of the tag travel_alteration, in lower case, that say that works change how traffic goes."""

_WORDS = (
    r"(?:road[\s-]?works?|work[\s-]?(?:zones?|areas?|sites?)|construction|road[\s-]?workers?|road crew|excavation)\b"
)
_WORK_WORDS = re.compile(rf"\b{_WORDS}", re.IGNORECASE)
_DENIED_WORDS = re.compile(rf"\b(?:no|not|without|nor)\b(?:\s+\w+){{0,4}}?\s+{_WORDS}", re.IGNORECASE)


class _Scene(NamedTuple):
    file_name: str
    description: str
    alterations: tuple[str, ...]
    shows_work_zone_object: bool

    def label(self) -> int | None:
        """1 or 0, or None where neither can be said."""
        says_work = _WORK_WORDS.search(_DENIED_WORDS.sub("", self.description)) is not None
        if self.shows_work_zone_object or says_work or WORK_ALTERATIONS & set(self.alterations):
            return 1
        return 0 if self.alterations == ("none",) and not self.description else None


class RoadworkSource(Source):
    """Pictures of the annotated scenes. That something is annotated does not make a picture roadwork.

    1: an object of a work-zone category, or a description or travel alteration that says so. 0: travel_alteration is
    exactly None and there is no description. All other pictures are left out and counted.
    """

    kind: Literal["roadwork"] = "roadwork"
    annotation_files: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "scene/annotations/instances_train_gps_split.json",
    )
    """COCO files, relative to the root or absolute; no picture may stand in two of them."""
    image_folder: str = "scene/images"
    """The pictures, relative to the root or absolute."""
    work_zone_categories: Annotated[tuple[str, ...], Field(min_length=1)] = WORK_ZONE_CATEGORIES
    """Categories of which one object makes a picture roadwork; upper and lower case are the same."""

    def listing(self) -> Listing:
        """One row for each decided picture, in the order of the files, grouped by sequence.

        Raises `MissingSourceError`; `DataError` when a file is not COCO or knows none of the categories.
        """
        remarks: list[str] = []
        scenes = [scene for file in self.files() for scene in self._scenes(file, remarks)]
        decided = [(scene, label) for scene in scenes if (label := scene.label()) is not None]
        if len(decided) < len(scenes):
            left = count(len(scenes) - len(decided), "picture")
            remarks.append(f"{left} of {len(scenes)} ambiguous (neither work zone nor certainly none), left out")
        rows = self.rows(
            self._paths([scene for scene, _ in decided]),
            [label for _, label in decided],
            groups=[all_but_last_field(scene.file_name) for scene, _ in decided],
            descriptions=[scene.description for scene, _ in decided],
        )
        return Listing(rows, tuple(remarks))

    def files(self) -> list[Path]:
        """The COCO files."""
        return [self.folder() / file for file in self.annotation_files]

    def pictures(self) -> pd.Series:
        """All pictures that the files list, also those that are left out."""
        return self._paths([scene for file in self.files() for scene in self._scenes(file, [])])

    def _paths(self, scenes: list[_Scene]) -> pd.Series:
        images = existing_folder(self.folder() / self.image_folder, self.name)
        return under(images, pd.Series([scene.file_name for scene in scenes], dtype="str"))

    def _scenes(self, file: Path, remarks: list[str]) -> Iterator[_Scene]:
        wanted = {name.casefold() for name in self.work_zone_categories}
        try:
            content: Any = json.loads(existing_file(file, self.name).read_bytes())
            categories = {entry["id"]: str(entry["name"]) for entry in content["categories"]}
            boxes = [(box["image_id"], categories[box["category_id"]].casefold()) for box in content["annotations"]]
            images = [(entry["id"], str(entry["file_name"]), entry) for entry in content["images"]]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{file} is not a COCO file ({type(error).__name__}: {error}); download it again"
            ) from error
        known = {name.casefold() for name in categories.values()}
        if not known & wanted:
            found = ", ".join(categories.values()) or "none"
            raise DataError(f"{file} has none of the work-zone categories; its categories are {found}. Correct them")
        ordinary = {name.casefold() for name in ORDINARY_CATEGORIES}
        strange = sorted(name for name in categories.values() if name.casefold() not in wanted | ordinary)
        if strange:
            remarks.append(f"{file.name}: categories that count neither way: {', '.join(strange)}")
        work_zone = {image_id for image_id, name in boxes if name in wanted}
        for image_id, file_name, entry in images:
            yield _scene(file_name, entry, image_id in work_zone)


def _scene(file_name: str, entry: dict[str, Any], shows_work_zone_object: bool) -> _Scene:
    tags = entry.get("scene_level_tags") or {}
    description = str(entry.get("scene_description") or "").strip()
    return _Scene(file_name, description, _alterations(tags.get("travel_alteration")), shows_work_zone_object)


def _alterations(value: object) -> tuple[str, ...]:
    """The tag as lower-case values; it is a list, a list printed as text, a single word, or missing."""
    if isinstance(value, str):
        text = value.strip()
        value = ast.literal_eval(text) if re.fullmatch(r"\[(?:\s*(?:'[^']*'|\"[^\"]*\")\s*,?)*\]", text) else [text]
    if not isinstance(value, list):
        return ()
    return tuple(str(entry).strip().casefold() for entry in value if entry is not None and str(entry).strip())
