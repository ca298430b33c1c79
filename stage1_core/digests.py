"""Digests: one way to turn values, files, folders and the library's own source into a sha256."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

NUMERICAL_LIBRARIES = (
    "numpy",
    "peft",
    "pillow",
    "pytorch-optimizer",
    "scikit-learn",
    "scipy",
    "timm",
    "torch",
    "torchvision",
    "transformers",
)
"""Their versions may change a result's bits."""


def canonical_json(value: object, *, indent: int | None = None) -> bytes:
    """UTF-8 JSON with sorted keys and no NaN: equal values give equal bytes."""
    separators = (",", ":") if indent is None else (",", ": ")
    text = json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=False, indent=indent, separators=separators)
    return text.encode()


def digest_of_bytes(content: bytes | memoryview) -> str:
    """Hex sha256 of ``content``."""
    return hashlib.sha256(content).hexdigest()


def digest_of_file(path: Path) -> str:
    """Hex sha256 of the file's content, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of_tree(folder: Path) -> str:
    """Hex sha256 over the relative paths and contents of all regular files below ``folder``."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return digest_of_pairs((path.relative_to(folder).as_posix(), digest_of_file(path)) for path in files)


def digest_of_pairs(pairs: Iterable[tuple[str, str]]) -> str:
    """Hex sha256 over (name, digest) pairs in the given order."""
    total = hashlib.sha256()
    for name, digest in pairs:
        total.update(f"{name}\0{digest}\n".encode())
    return total.hexdigest()


@functools.cache
def core_source_digest() -> str:
    """Digest of the library's own Python source: a result computed by other code has another cache key."""
    root = Path(__file__).parent
    files = sorted(root.rglob("*.py"))
    return digest_of_pairs((path.relative_to(root).as_posix(), digest_of_file(path)) for path in files)


def identity_of(*parts: object) -> str:
    """Hex sha256 over ``parts``, JSON values, and the library's source: names a computation by all that decides it."""
    return digest_of_bytes(canonical_json([*parts, core_source_digest()]))


@functools.cache
def library_digest() -> str:
    """Digest of the library's own source and the versions of `NUMERICAL_LIBRARIES`: all code that decides a number."""
    versions = [f"{name}=={version(name)}" for name in NUMERICAL_LIBRARIES]
    return digest_of_bytes(canonical_json([core_source_digest(), *versions]))
