"""What every source has in common: its fields, its interface, and how label-file entries become source rows."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from stage1_core.config import FrozenModel
from stage1_core.data.columns import LABELS, SOURCE_COLUMNS, Role
from stage1_core.errors import DataError

Texts = Sequence[str] | pd.Series
Labels = Sequence[int] | npt.NDArray[np.int8]

_UNTIDY = r"(?:^|/)\.{1,2}(?:/|$)|//"


class MissingSourceError(DataError):
    """The folder or label file of a source is not there. Only this error lets an optional source be skipped."""


class Listing(NamedTuple):
    """What a source found."""

    rows: pd.DataFrame
    """Source rows (see `stage1_core.data.columns.SOURCE_COLUMNS`), in the order of the files."""
    remarks: tuple[str, ...] = ()
    """What a user should know, such as how many pictures were left out and why; one sentence each."""


class Source(FrozenModel):
    """One place with pictures and what is known about them. Every adapter is a final child of this class."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=80)]
    """Unique name: the first part of the ids and groups, and the source in every per-source metric."""
    root: Path
    """The folder of the source. A relative path is resolved against the process's working directory."""
    role: Role = "pool"
    """"pool": cut into all four splits; "train": training only; "val": validation splits only."""
    optional: bool = False
    """Whether a source that is not there is skipped with a warning instead of being an error."""

    synthetic: ClassVar[bool] = False
    """Whether the pictures were rendered or generated instead of photographed; reports say so."""

    @abstractmethod
    def listing(self) -> Listing:
        """Read the labels; open no picture. Raises `MissingSourceError` or `DataError`."""

    @abstractmethod
    def files(self) -> list[Path]:
        """The label files whose content matters, also missing ones. Raises `MissingSourceError` without root."""

    @abstractmethod
    def pictures(self) -> pd.Series:
        """Absolute paths (str) of the files whose size and time of change stand for their content."""

    def read(self) -> pd.DataFrame:
        """Source rows, labels read, pictures not opened. Raises `MissingSourceError` or `DataError`."""
        return self.listing().rows

    def folder(self) -> Path:
        """The absolute root. Raises `MissingSourceError` when there is no such folder."""
        return existing_folder(Path(os.path.abspath(self.root)), self.name)  # noqa: PTH100 - keeps symbolic links

    def rows(
        self,
        paths: Texts,
        labels: Labels,
        *,
        groups: Texts | None = None,
        descriptions: Texts | None = None,
        parts: Texts | None = None,
        base: Path | None = None,
    ) -> pd.DataFrame:
        """Source rows for n pictures.

        ``paths``: n absolute paths, such as `under` makes them. ``labels``: n values of -1, 0, 1. ``groups``: n keys
        without the source's name, "" where nothing is known (the id is taken). ``descriptions``: n texts. ``parts``: n
        names of sub-sources (such as districts), which follow the source's name in the column ``source``. ``base``:
        what ids are relative to, by default the root; the id of a picture outside of it holds its whole path.

        Raises `DataError` when a picture is listed twice or a label is none of the three; `MissingSourceError` when
        there are no pictures at all.
        """
        base = base or self.folder()
        path = _text_column(paths)
        if path.empty:
            raise MissingSourceError(f"source {self.name!r} has no pictures under {base}; check its root and settings")
        label = np.asarray(labels, dtype=np.int8)
        if not np.isin(label, LABELS).all():
            raise DataError(f"source {self.name!r} has a label that is not in {LABELS}")
        identity = self.name + "/" + path.str.removeprefix(f"{base}/").str.lstrip("/")
        self._refuse_repeated(path, label)
        group = identity if groups is None else _known_groups(_text_column(groups), self.name, identity)
        source = _constant(self.name, len(path)) if parts is None else self.name + "/" + _text_column(parts)
        description = _constant("", len(path)) if descriptions is None else _text_column(descriptions)
        columns = [identity, path, pd.Series(label), source, group, _constant(self.role, len(path)), description]
        return pd.DataFrame(dict(zip(SOURCE_COLUMNS, columns, strict=True)))

    def _refuse_repeated(self, path: pd.Series, label: npt.NDArray[np.int8]) -> None:
        repeated = path.duplicated().to_numpy()
        if repeated.any():
            second = int(repeated.argmax())
            first = int((path == path.iloc[second]).to_numpy().argmax())
            raise DataError(
                f"source {self.name!r} lists {path.iloc[second]} twice (entries {first + 1} and {second + 1}, labels "
                f"{label[first]} and {label[second]}; {int(repeated.sum())} repeated entries in all): delete the copies"
            )


def existing_folder(folder: Path, name: str) -> Path:
    """``folder`` itself. Raises `MissingSourceError` when it is not a folder; ``name`` is the source's."""
    if not folder.is_dir():
        raise MissingSourceError(f"source {name!r} needs the folder {folder}, which does not exist: correct its path")
    return folder


def existing_file(file: Path, name: str) -> Path:
    """``file`` itself. Raises `MissingSourceError` when it is not a file; ``name`` is the source's."""
    if not file.is_file():
        raise MissingSourceError(f"source {name!r} needs the file {file}, which does not exist: correct its path")
    return file


def under(folder: Path, names: pd.Series) -> pd.Series:
    """Absolute paths, without ``..`` and doubled slashes, of ``names`` in ``folder``; absolute names keep their own."""
    joined = f"{folder}/" + names
    absolute = names.str.startswith("/")
    return _tidy(names.where(absolute, joined) if bool(absolute.any()) else joined)


def count(number: int, noun: str) -> str:
    """``number`` and ``noun``, in the plural where it is not one: "1 picture", "2 pictures"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _text_column(values: Texts) -> pd.Series:
    try:
        return pd.Series(values, dtype="str").reset_index(drop=True).fillna("")
    except UnicodeEncodeError as error:
        raise DataError(f"a file name is not UTF-8: {error.object!r}; rename the file") from None


def _constant(text: str, length: int) -> pd.Series:
    return pd.Series([text], dtype="str").repeat(length).reset_index(drop=True)


def _known_groups(groups: pd.Series, name: str, identity: pd.Series) -> pd.Series:
    return (name + "/" + groups).where(groups != "", identity)


def _tidy(path: pd.Series) -> pd.Series:
    """Paths without ``.``, ``..`` and doubled slashes, so that one picture has one path."""
    untidy = path.str.contains(_UNTIDY, regex=True)
    if not bool(untidy.any()):
        return path
    return path.where(~untidy, path[untidy].map(os.path.normpath).astype("str"))
