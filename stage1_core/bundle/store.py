"""The content-addressed store that hands artifacts from step to step."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from stage1_core.bundle.artifact import ArtifactKind, ArtifactRef, reads
from stage1_core.bundle.sealing import (
    FileEntry,
    entries_of,
    flush,
    regular_files,
    rename_durably,
    scratch_folder,
    write_durably,
)
from stage1_core.bundle.sealing import tree_digest as digest_of_entries
from stage1_core.config import FrozenModel
from stage1_core.errors import BundleError, Stage1Error
from stage1_core.splits import Purpose

Model = TypeVar("Model", bound=FrozenModel)


class StoredTree(FrozenModel):
    """What was stored under one digest. Written last, beside the folder: its presence means complete."""

    sha256: str
    files: dict[str, FileEntry]
    modified_ns: dict[str, int]
    """Modification times when stored; a file with another time is digested again before it is believed."""


@dataclass(frozen=True, slots=True)
class ArtifactStore:
    """Artifacts below ``root``, at ``<kind>/<first 20 digits of the digest>``. Safe for concurrent writers."""

    root: Path

    def put(
        self,
        kind: ArtifactKind | str,
        build: Callable[[Path], object],
        *,
        inputs: Sequence[ArtifactRef] = (),
        purposes: Sequence[Purpose] = (),
    ) -> ArtifactRef:
        """Let ``build`` fill an empty folder, and store it. Content that is already there is reused.

        ``purposes`` are those that this step itself read rows for; those of ``inputs`` are added.
        Raises `BundleError` when ``build`` writes nothing, or links.
        """
        kind = ArtifactKind(kind)
        with scratch_folder(self.root / ".building") as scratch:
            build(scratch)
            tree = _describe(scratch)
            ref = ArtifactRef(
                kind=kind,
                path=_location(kind, tree.sha256),
                sha256=tree.sha256,
                inputs=tuple(ref.sha256 for ref in inputs),
                purposes=_united(inputs, purposes),
            )
            if not self.intact(ref):
                self._move_in(scratch, tree, ref)
        return ref

    def put_file(
        self,
        kind: ArtifactKind | str,
        name: str,
        content: bytes | FrozenModel,
        *,
        inputs: Sequence[ArtifactRef] = (),
        purposes: Sequence[Purpose] = (),
    ) -> ArtifactRef:
        """Store one file ``name`` with ``content``; a model is written as its JSON."""
        data = content.to_json().encode() if isinstance(content, FrozenModel) else content
        return self.put(kind, lambda folder: (folder / name).write_bytes(data), inputs=inputs, purposes=purposes)

    def open(self, ref: ArtifactRef, *, check_content: bool = False) -> Path:
        """The folder of ``ref``, to read. Raises `BundleError` when it is gone or not what was stored."""
        if not self.intact(ref, check_content=check_content):
            raise BundleError(
                f"{ref.kind} {ref.path} is missing from {self.root} or was changed there; run the step that makes it "
                "again, or restore it from a copy"
            )
        return self._folder(ref)

    def open_file(self, ref: ArtifactRef) -> Path:
        """The only file of ``ref``. Raises `BundleError` when it holds more than one."""
        files = list(regular_files(self.open(ref)).values())
        if len(files) != 1:
            raise BundleError(f"{ref.kind} {ref.path} holds {len(files)} files, expected one; open the folder instead")
        return files[0]

    def read(self, ref: ArtifactRef, model: type[Model]) -> Model:
        """The value that `put_file` stored."""
        return model.from_json_file(self.open_file(ref))

    def intact(self, ref: ArtifactRef, *, check_content: bool = False) -> bool:
        """Whether ``ref`` is whole: same files, same sizes; contents where asked for or where a time has changed."""
        try:
            tree = StoredTree.from_json_file(self._manifest(ref))
            files = regular_files(self._folder(ref))
        except (Stage1Error, OSError):
            return False
        if tree.sha256 != ref.sha256 or digest_of_entries(tree.files) != ref.sha256 or set(files) != set(tree.files):
            return False
        status = {name: path.stat() for name, path in files.items()}
        if any(status[name].st_size != entry.size for name, entry in tree.files.items()):
            return False
        unmoved = all(status[name].st_mtime_ns == tree.modified_ns.get(name) for name in files)
        return (unmoved and not check_content) or entries_of(self._folder(ref)) == tree.files

    def _folder(self, ref: ArtifactRef) -> Path:
        if ref.path != _location(ref.kind, ref.sha256):
            raise BundleError(f"{ref.path} is not where a {ref.kind} with digest {ref.sha256} lies; do not edit refs")
        return self.root / ref.path

    def _manifest(self, ref: ArtifactRef) -> Path:
        folder = self._folder(ref)
        return folder.with_name(folder.name + ".json")

    def _move_in(self, scratch: Path, tree: StoredTree, ref: ArtifactRef) -> None:
        folder, manifest = self._folder(ref), self._manifest(ref)
        folder.parent.mkdir(parents=True, exist_ok=True)
        flush(scratch)
        with self._lock(folder):
            if self.intact(ref, check_content=True):
                return
            manifest.unlink(missing_ok=True)
            if folder.exists():
                folder.rename(scratch.with_name("replaced"))
            rename_durably(scratch, folder)
            write_durably(manifest, tree.to_json().encode())

    @contextmanager
    def _lock(self, folder: Path) -> Iterator[None]:
        """One mover per kind of artifact; the lock goes with its process."""
        with (folder.parent / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _location(kind: ArtifactKind, sha256: str) -> str:
    return f"{kind}/{sha256[:20]}"


def _united(inputs: Sequence[ArtifactRef], purposes: Sequence[Purpose]) -> tuple[Purpose, ...]:
    found = {*reads(*inputs), *purposes}
    return tuple(purpose for purpose in Purpose if purpose in found)


def _describe(folder: Path) -> StoredTree:
    files = entries_of(folder)
    if not files:
        raise BundleError("the step wrote no file into the folder it was given; there is nothing to store")
    times = {name: path.stat().st_mtime_ns for name, path in regular_files(folder).items()}
    return StoredTree(sha256=digest_of_entries(files), files=files, modified_ns=times)
