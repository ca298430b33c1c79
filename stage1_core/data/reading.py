"""Reads all sources into one table, and gives the key that changes whenever reading would give something else."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import pandas as pd

from stage1_core.data.columns import SOURCE_COLUMNS, checked_table
from stage1_core.data.sources import SourceConfig
from stage1_core.data.sources.source import MissingSourceError, existing_file
from stage1_core.digests import canonical_json, digest_of_file, digest_of_pairs
from stage1_core.errors import DataError


def read_sources(configs: Sequence[SourceConfig]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Source rows of all sources, one after the other, and what a user should be warned of.

    A source that is missing is left out, with a warning, only where its config says ``optional``. Labels are read;
    pictures are not opened. Raises `DataError` when two sources share a name, when a source is missing or damaged, or
    when nothing is left.
    """
    _refuse_shared_names(configs)
    tables: list[pd.DataFrame] = []
    warnings: list[str] = []
    for config in configs:
        try:
            listing = config.listing()
        except MissingSourceError as error:
            if not config.optional:
                raise
            warnings.append(f"optional source {config.name!r} is skipped: {error}")
            continue
        tables.append(listing.rows)
        warnings.extend(f"source {config.name!r}: {remark}" for remark in listing.remarks)
    if not tables:
        raise DataError(
            f"there are no rows in {len(configs)} sources; add one that exists. {' '.join(warnings)}".strip()
        )
    rows = tables[0] if len(tables) == 1 else pd.concat(tables, ignore_index=True)
    return checked_table(rows, SOURCE_COLUMNS), tuple(warnings)


def source_fingerprint(configs: Sequence[SourceConfig]) -> str:
    """Hex sha256 over the configs, the content of their label files, and path, size and time of change of each picture.

    Opens no picture: one scan for each folder. A skipped optional source counts as absent, so that its arrival changes
    the fingerprint. Raises what `read_sources` raises for missing sources.
    """
    _refuse_shared_names(configs)
    return digest_of_pairs(pair for config in configs for pair in _parts(config))


def _parts(config: SourceConfig) -> Iterator[tuple[str, str]]:
    yield "config", canonical_json(config.model_dump(mode="json")).decode()
    try:
        root = config.folder()
        files, pictures = config.files(), config.pictures()
        digests = [(str(file), digest_of_file(existing_file(file, config.name))) for file in files]
    except MissingSourceError:
        if not config.optional:
            raise
        yield "absent", config.name
        return
    yield "root", str(root)
    yield from digests
    yield from _stamps(pictures)


def _stamps(pictures: pd.Series) -> Iterator[tuple[str, str]]:
    """(path, size and time of change) of the pictures that exist, in an order that depends on their paths alone."""
    listed = set(pictures.tolist())
    folders = sorted(pictures.str.replace(r"/[^/]*$", "", regex=True).unique().tolist())
    for folder in folders:
        yield from sorted(_stamps_in(folder, listed))


def _stamps_in(folder: str, listed: set[str]) -> Iterator[tuple[str, str]]:
    try:
        entries = os.scandir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    with entries:
        for entry in entries:
            if entry.path in listed:
                try:
                    status = entry.stat()
                except FileNotFoundError:  # a symbolic link to nothing: like a picture that is missing
                    continue
                yield entry.path, f"{status.st_size} {status.st_mtime_ns}"


def _refuse_shared_names(configs: Sequence[SourceConfig]) -> None:
    names = [config.name for config in configs]
    shared = next((name for name in names if names.count(name) > 1), None)
    if shared is not None:
        raise DataError(f"two sources are called {shared!r}; give each source its own name")
