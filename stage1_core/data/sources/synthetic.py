"""Generated pictures, each with a JSON file of the same name that holds its label."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import Field

from stage1_core.data.sources.folder_listing import list_files
from stage1_core.data.sources.source import Listing, Source, count
from stage1_core.errors import DataError

Key = Annotated[str, Field(min_length=1)]


class SyntheticSource(Source):
    """``x.png`` beside ``x.json`` with {"label": 0 or 1, "scene_description": ...}, anywhere below the root."""

    kind: Literal["synthetic"] = "synthetic"
    label_key: Key = "label"
    """Key of the label in the JSON object: the number 0 or 1."""
    description_key: Key = "scene_description"
    """Key of a text about the picture; it may be missing."""
    group_key: Key | None = None
    """Key of what must never straddle splits, such as a prompt or seed that several pictures share."""

    def listing(self) -> Listing:
        """One row for each picture, sorted by path.

        Raises `MissingSourceError`; `DataError` for a picture without JSON file, or naming a file whose label is wrong.
        """
        pictures, notes = self._pictures(), self._json_files()
        known = set(notes)
        without = next((name for name in pictures if _json_of(name) not in known), None)
        if without is not None:
            raise DataError(
                f"source {self.name!r}: {without} has no {_json_of(without)}; write it or delete the picture"
            )
        facts = [self._facts(self.folder() / _json_of(name)) for name in pictures]
        lonely = sorted(known - {_json_of(name) for name in pictures})
        remarks = (f"{count(len(lonely), 'JSON file')} without picture, such as {lonely[0]}",) if lonely else ()
        rows = self.rows(
            self.pictures(),
            [label for label, _, _ in facts],
            descriptions=[description for _, description, _ in facts],
            groups=[group for _, _, group in facts],
        )
        return Listing(rows, remarks)

    def files(self) -> list[Path]:
        """All JSON files."""
        return [self.folder() / name for name in self._json_files()]

    def pictures(self) -> pd.Series:
        """All PNG files below the root."""
        return f"{self.folder()}/" + pd.Series(self._pictures(), dtype="str")

    def _pictures(self) -> list[str]:
        return list_files(self.folder(), frozenset({".png"}))

    def _json_files(self) -> list[str]:
        return list_files(self.folder(), frozenset({".json"}))

    def _facts(self, path: Path) -> tuple[int, str, str]:
        try:
            content: Any = json.loads(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
        except ValueError as error:
            raise DataError(f"{path} is not JSON ({error}); write it again") from error
        label = content.get(self.label_key) if isinstance(content, dict) else None
        if type(label) is not int or label not in (0, 1):
            raise DataError(f"{path}: {self.label_key!r} is {label!r} and must be the number 0 or 1; correct the file")
        description, group = content.get(self.description_key), content.get(self.group_key or "")
        return label, "" if description is None else str(description), "" if group is None else str(group)


def _json_of(picture: str) -> str:
    return f"{picture.rpartition('.')[0]}.json"
