"""Opening every picture once: what cannot be opened is set aside with its reason and never ends the run."""

from __future__ import annotations

import itertools
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from stage1_core.data.columns import SAMPLE_COLUMNS
from stage1_core.data.fingerprints import Fingerprint, fingerprints
from stage1_core.data.inspection_cache import InspectionCache
from stage1_core.data.workers import end_with_parent
from stage1_core.errors import DataError

_KEY = ["path", "size", "mtime_ns"]

Progress = Callable[[int, int], None]
"""Called with (pictures done, pictures in all)."""

_BATCH = 32
"""Pictures handed to a worker at once."""
_FEW = 256
"""Fewer new pictures than this are opened in this process: starting others takes longer."""
_SAVED_EVERY = 4096
"""New pictures after which the cache is written, so that a killed run loses little."""


@dataclass(frozen=True, slots=True, eq=False)
class Inspection:
    """Every row is in exactly one of the two tables."""

    samples: pd.DataFrame
    """Sample rows, in the order of the source rows."""
    bad: pd.DataFrame
    """Columns id, path, source and reason of the rows whose picture cannot be used."""


def inspect_images(
    rows: pd.DataFrame, *, cache_folder: Path, processes: int | None = None, on_progress: Progress | None = None
) -> Inspection:
    """Fingerprint the picture of each source row, reading only pictures that ``cache_folder`` does not know.

    ``processes`` is the number of worker processes, None for one a core. Workers are spawned, so a script that calls
    this needs the ``if __name__ == "__main__"`` guard. Raises `DataError` when a worker process is killed.
    """
    cache = InspectionCache(cache_folder)
    asked = _stats(pd.unique(rows["path"]))
    known = cache.known()
    # Only row numbers go through the join: a missing partner would turn 64-bit hashes into floats.
    row = asked.merge(known[_KEY].assign(row=np.arange(len(known))), how="left", on=_KEY)["row"].fillna(-1).to_numpy()
    new = asked.loc[row < 0, "path"].tolist()
    found, total, done = [known.iloc[row[row >= 0].astype(np.int64)]], len(asked), len(asked) - len(new)
    stats = asked.set_index("path")
    report = on_progress or _silent
    report(done, total)
    pending: list[Fingerprint] = []
    for batch in _opened(new, processes or _cores()):
        pending += batch
        done += len(batch)
        if len(pending) >= _SAVED_EVERY or done == total:
            opened = _table(pending).join(stats, on="path")
            cache.add(opened[~opened["unread"] & (opened["size"] >= 0)])
            found.append(opened)
            pending = []
        report(done, total)
    return _divided(rows, pd.concat(found, ignore_index=True))


def _silent(done: int, total: int) -> None:
    """Progress that nobody watches."""


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _stats(paths: Iterable[str]) -> pd.DataFrame:
    """Columns path, size (bytes) and mtime_ns; -1 for a file that is not there."""
    sizes, times = [], []
    names = list(paths)
    for name in names:
        try:
            stat = os.stat(name)  # noqa: PTH116  # half the time of Path.stat for a million files
        except (OSError, ValueError):
            sizes.append(-1)
            times.append(-1)
        else:
            sizes.append(stat.st_size)
            times.append(stat.st_mtime_ns)
    columns = {"path": "str", "size": "int64", "mtime_ns": "int64"}
    return pd.DataFrame({"path": names, "size": sizes, "mtime_ns": times}).astype(columns)


def _opened(paths: Sequence[str], processes: int) -> Iterator[list[Fingerprint]]:
    """Fingerprints of ``paths``, batch by batch, in the order in which they are ready."""
    batches = iter([paths[start : start + _BATCH] for start in range(0, len(paths), _BATCH)])
    if processes == 1 or len(paths) < _FEW:
        yield from map(fingerprints, batches)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=end_with_parent) as pool:
        running = {pool.submit(fingerprints, batch) for batch in itertools.islice(batches, 2 * processes)}
        try:
            while running:
                ready, running = wait(running, return_when=FIRST_COMPLETED)
                running |= {pool.submit(fingerprints, batch) for batch in itertools.islice(batches, len(ready))}
                for batch in ready:
                    yield batch.result()
        except BrokenProcessPool as error:
            raise DataError(
                "a process that opens pictures was killed, most likely for lack of memory; "
                "use fewer processes and start again: nearly all pictures opened so far are remembered"
            ) from error


def _table(opened: Sequence[Fingerprint]) -> pd.DataFrame:
    columns = {"path": "str", "sha256": "str", "phash": "uint64", "width": "int32", "height": "int32", "reason": "str"}
    return pd.DataFrame(list(opened), columns=list(Fingerprint._fields)).astype(columns)


def _divided(rows: pd.DataFrame, found: pd.DataFrame) -> Inspection:
    """Source rows with what was found in their pictures: usable ones and bad ones."""
    facts = found.set_index("path")[["sha256", "phash", "width", "height", "reason"]]
    position = facts.index.get_indexer(pd.Index(rows["path"]))
    facts = facts.iloc[position].reset_index(drop=True)
    is_bad = (facts["reason"] != "").to_numpy(dtype=np.bool_)
    joined = pd.concat([rows.reset_index(drop=True), facts], axis=1)
    samples = joined.loc[~is_bad, list(SAMPLE_COLUMNS)].astype(dict(SAMPLE_COLUMNS)).reset_index(drop=True)
    return Inspection(samples, joined.loc[is_bad, ["id", "path", "source", "reason"]].reset_index(drop=True))
