"""A million rows through reading, audit, split, saving and loading: seconds, memory, and ratios against named peers.

Run with ``python benchmarks/tabular_audit.py``. Pictures are not opened: their digests and hashes are made up. Goal: at
most 60 seconds and 2 GB of resident memory for one million rows. Peers, at sizes where they end soon:

- split: scikit-learn's StratifiedGroupKFold, one fold of three, on the same groups;
- near duplicates: all pairs compared with numpy, row by row.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold

from stage1_core.data.audit import AuditConfig, audit
from stage1_core.data.columns import SAMPLE_COLUMNS
from stage1_core.data.ledger import CutPool, SplitLedger, split
from stage1_core.data.near_duplicates import near_duplicate_groups
from stage1_core.data.sources.csv import CsvSource

T = TypeVar("T")

SECONDS_GOAL = 60
GIGABYTES_GOAL = 2.0
DISTANCE_BITS = 3


def main() -> int:
    """Print each step's seconds, the peak memory, and the ratios; the exit code says whether the goal holds."""
    parser = argparse.ArgumentParser(description="A million rows through audit and split.")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the table (default 1000000)")
    parser.add_argument("--peer-rows", type=int, default=20_000, help="rows for the peers (default 20000)")
    arguments = parser.parse_args()
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_labels(folder / "labels.csv", arguments.rows)
        source = CsvSource(name="street", root=folder, label_file="labels.csv", group_column="drive")
        rows = timed(seconds, "read CSV", source.read)
        samples = with_made_up_fingerprints(rows)
        del rows
        audited = timed(seconds, "audit", audit, samples, no_bad_pictures(), AuditConfig())
        del samples
        ledger = timed(seconds, "split", split, audited.samples, CutPool())
        samples = audited.samples
        del audited
        timed(seconds, "save", ledger.save, folder / "ledger")
        digest = ledger.digest
        del ledger
        assert timed(seconds, "load", SplitLedger.load, folder / "ledger").digest == digest
    total, gigabytes = sum(seconds.values()), peak_gigabytes()
    for step, spent in seconds.items():
        print(f"{step:10} {spent:7.2f} s")
    print(f"{'total':10} {total:7.2f} s for {arguments.rows} rows (goal {SECONDS_GOAL} s)")
    print(f"{'peak':10} {gigabytes:7.2f} GB resident (goal {GIGABYTES_GOAL} GB)")
    part = samples.head(arguments.peer_rows)
    compare_split(part)
    compare_near_duplicates(part["phash"].to_numpy()[: arguments.peer_rows // 2])
    return 0 if total <= SECONDS_GOAL and gigabytes <= GIGABYTES_GOAL else 1


def write_labels(path: Path, rows: int) -> None:
    """A CSV of drives with 1 to about 60 frames; roadwork comes in stretches."""
    rng = np.random.default_rng(0)
    drive = np.repeat(np.arange(rows), rng.geometric(0.1, rows))[:rows]
    label = (rng.random(rows)[drive] < 0.3).astype(int) ^ (rng.random(rows) < 0.05)
    with path.open("w") as file:
        file.write("path,label,drive\n")
        file.writelines(
            f"{d // 1000:05d}/{d:08d}_{i:08d}.jpg,{y},drive_{d:08d}\n"
            for i, (d, y) in enumerate(zip(drive, label, strict=True))
        )


def with_made_up_fingerprints(rows: pd.DataFrame) -> pd.DataFrame:
    """Sample rows: 1 % of the files are copies of another, 4 % look like another (one or two bits differ)."""
    rng = np.random.default_rng(1)
    n = len(rows)
    original = np.arange(n)
    copies = rng.random(n) < 0.01
    original[copies] -= np.minimum(original[copies], rng.integers(1, 30, int(copies.sum())))
    # A copy has the label of its original, or the audit would refuse it.
    label = rows["label"].to_numpy()
    original = np.where(label[original] == label, original, np.arange(n))
    words = rng.integers(0, 2**63, size=(n, 4), dtype=np.int64)[original]
    hashes = rng.integers(0, 2**64, n, dtype=np.uint64)
    alike = rng.random(n) < 0.04
    hashes[alike] = hashes[np.maximum(np.flatnonzero(alike) - rng.integers(1, 30, int(alike.sum())), 0)]
    for _ in range(2):
        hashes[alike] ^= np.uint64(1) << rng.integers(0, 64, int(alike.sum())).astype(np.uint64)
    hashes = hashes[original]
    digests = words.astype(">i8").view("V32").ravel()
    return rows.assign(
        sha256=pd.Series([bytes(digest).hex() for digest in digests], dtype="str"),
        phash=hashes,
        width=np.int32(1920),
        height=np.int32(1080),
    )[list(SAMPLE_COLUMNS)]


def no_bad_pictures() -> pd.DataFrame:
    """The empty table of pictures that cannot be opened."""
    return pd.DataFrame({name: pd.Series(dtype="str") for name in ("id", "path", "source", "reason")})


def compare_split(samples: pd.DataFrame) -> None:
    """Seconds of our four-way split and of one fold by scikit-learn."""
    seconds: dict[str, float] = {}
    timed(seconds, "ours", split, samples, CutPool())
    folds = StratifiedGroupKFold(n_splits=3, shuffle=True, random_state=0)
    label, group = samples["label"].to_numpy(), pd.factorize(samples["group"])[0]
    timed(seconds, "peer", next, folds.split(label, label, group))
    print_ratio(f"split, {len(samples)} rows", "StratifiedGroupKFold, one fold", seconds)


def compare_near_duplicates(hashes: np.ndarray) -> None:
    """Seconds of the banded search and of comparing all pairs; both must find the same groups."""
    seconds: dict[str, float] = {}
    ours = timed(seconds, "ours", near_duplicate_groups, hashes, DISTANCE_BITS)
    peer = timed(seconds, "peer", all_pairs_groups, hashes)
    assert len(np.unique(ours)) == len(np.unique(peer)) == len(np.unique(np.stack([ours, peer]), axis=1).T)
    print_ratio(f"near duplicates, {len(hashes)} rows", "all pairs in numpy", seconds)


def all_pairs_groups(hashes: np.ndarray) -> np.ndarray:
    """The same groups by looking at every pair."""
    edges = [(i, i + np.flatnonzero(np.bitwise_count(hashes[i:] ^ h) <= DISTANCE_BITS)) for i, h in enumerate(hashes)]
    left = np.concatenate([np.full(len(right), i) for i, right in edges])
    right = np.concatenate([right for _, right in edges])
    n = len(hashes)
    return connected_components(coo_array((np.ones(len(left), dtype=bool), (left, right)), shape=(n, n)))[1]


def print_ratio(what: str, peer: str, seconds: dict[str, float]) -> None:
    """One line: ours, the peer's, and how many times faster we are."""
    ratio = seconds["peer"] / seconds["ours"]
    print(f"{what}: {seconds['ours']:.3f} s, {peer} {seconds['peer']:.3f} s: {ratio:.1f} times faster")


def timed(seconds: dict[str, float], step: str, work: Callable[..., T], *inputs: object) -> T:
    """What ``work`` makes of its inputs, its wall-clock seconds kept under ``step``."""
    start = time.perf_counter()
    made = work(*inputs)
    seconds[step] = time.perf_counter() - start
    return made


def peak_gigabytes() -> float:
    """Largest resident memory of this process so far, in GB (10^9 bytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


if __name__ == "__main__":
    sys.exit(main())
