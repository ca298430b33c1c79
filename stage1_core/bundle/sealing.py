"""What folders hold, and how they are written so that a crash leaves either all of it or nothing."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from uuid import uuid4

from pydantic import Field

from stage1_core.config import FrozenModel
from stage1_core.digests import digest_of_file, digest_of_pairs
from stage1_core.errors import BundleError

ABANDONED_AFTER_SECONDS = 3600.0
"""A scratch folder in which nothing changed for so long, and which no living process holds, is swept."""


class FileEntry(FrozenModel):
    """One file as it was sealed."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: Annotated[int, Field(ge=0)]
    """Bytes."""


def regular_files(folder: Path) -> dict[str, Path]:
    """Relative POSIX path to path of every file below ``folder``, sorted.

    Raises `BundleError` for links, devices and pipes: what a link leads to cannot be sealed.
    """
    found: dict[str, Path] = {}
    pending = [folder]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                path = Path(entry.path)
                if entry.is_symlink():
                    raise BundleError(f"{path} is a symbolic link; put a copy of the file in its place")
                if entry.is_dir(follow_symlinks=False):
                    pending.append(path)
                elif stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode):
                    found[path.relative_to(folder).as_posix()] = path
                else:
                    raise BundleError(f"{path} is neither a file nor a folder; remove it")
    return dict(sorted(found.items()))


def entries_of(folder: Path) -> dict[str, FileEntry]:
    """Digest and size of every file below ``folder``."""
    return {
        name: FileEntry(sha256=digest_of_file(path), size=path.stat().st_size)
        for name, path in regular_files(folder).items()
    }


def tree_digest(entries: dict[str, FileEntry]) -> str:
    """The digest that `stage1_core.digests.digest_of_tree` gives for a folder with these files."""
    ordered = sorted(entries, key=lambda name: Path(name))
    return digest_of_pairs((name, entries[name].sha256) for name in ordered)


def flush(folder: Path) -> None:
    """Bring every file and folder below ``folder`` to disk, so that a rename cannot outrun the content."""
    for path in [*folder.rglob("*"), folder]:
        _fsync(path)


def write_durably(path: Path, content: bytes) -> None:
    """Write beside ``path``, bring to disk, rename: readers see the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    _fsync(path.parent)


def rename_durably(source: Path, target: Path) -> None:
    """Rename a finished folder into place. Raises `FileExistsError` where ``target`` already holds something."""
    try:
        source.rename(target)
    except OSError as error:
        if target.exists():
            raise FileExistsError(f"{target} already exists") from error
        raise
    _fsync(target.parent)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def scratch_folder(parent: Path, prefix: str = "") -> Iterator[Path]:
    """An empty folder below ``parent`` that is gone afterwards; what was renamed out of it stays.

    Leftovers of killed processes, with the same prefix, are swept first.
    """
    parent.mkdir(parents=True, exist_ok=True)
    for place in parent.glob(f"{prefix}*.partial"):
        if _abandoned(place):
            shutil.rmtree(place, ignore_errors=True)
    place = parent / f"{prefix}{uuid4().hex}.partial"
    (place / "content").mkdir(parents=True)
    try:
        with (place / "held").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield place / "content"
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _abandoned(place: Path) -> bool:
    """Untouched for an hour and held by nobody. A folder that vanishes meanwhile belongs to somebody else."""
    try:
        newest = max(path.lstat().st_mtime for path in [place, *place.rglob("*")])
        if time.time() - newest < ABANDONED_AFTER_SECONDS:
            return False
        with (place / "held").open("a") as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except (FileNotFoundError, BlockingIOError):
        return False
