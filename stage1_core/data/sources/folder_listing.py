"""Lists the pictures below a folder with one scan per folder."""

from __future__ import annotations

import os
from pathlib import Path

from stage1_core.errors import DataError

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".tif", ".tiff"})
"""File-name endings that count as pictures, in any case."""


def list_files(folder: Path, suffixes: frozenset[str] = PICTURE_SUFFIXES) -> list[str]:
    """Sorted paths, relative to ``folder``, of the files below it whose lower-cased suffix is one of ``suffixes``.

    Symbolic links are followed, but not back to a folder above. What starts with a dot (also the "._x.jpg" doubles that
    archives carry along) and "__MACOSX" are passed over. Raises `DataError` for a name that is not UTF-8.
    """
    found: list[str] = []
    waiting: list[tuple[str, str, frozenset[tuple[int, int]]]] = [(str(folder), "", frozenset())]
    while waiting:
        place, prefix, above = waiting.pop()
        status = os.stat(place)  # noqa: PTH116
        here = (status.st_dev, status.st_ino)
        if here in above:
            continue
        with os.scandir(place) as entries:
            for entry in entries:
                name = entry.name
                if name.startswith(".") or name == "__MACOSX":
                    continue
                if entry.is_dir():
                    waiting.append((entry.path, f"{prefix}{name}/", above | {here}))
                elif _suffix(name) in suffixes:
                    found.append(prefix + (name if name.isascii() else _utf8(entry)))
    return sorted(found)


def is_picture(name: str) -> bool:
    """Whether the name ends like that of a picture."""
    return _suffix(name) in PICTURE_SUFFIXES


def _suffix(name: str) -> str:
    return f".{name.rpartition('.')[2].lower()}" if "." in name else ""


def _utf8(entry: os.DirEntry[str]) -> str:
    try:
        entry.name.encode()
    except UnicodeEncodeError:
        raise DataError(f"the file name {entry.path!r} is not UTF-8; rename the file") from None
    return entry.name
