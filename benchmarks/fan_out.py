"""Feature extraction on worker processes against threads of this process, and what sending work costs, in one run.

Pictures as in `benchmarks/feature_extraction.py`, the packaged EfficientNet-Lite0, a fresh store each time; both ways
take turns. Rates leave out starting and loading: they count from the moment when each worker has given its first shard.
On one machine the workers have the same cores as the threads, so the ratio says what going through processes costs
(1 is nothing); what more machines gain is not measured here. "per_item" is the time of an item whose work is nothing.

    python -m benchmarks.fan_out [--workers 2] [--pictures 1024] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import operator
import pickle
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmarks.feature_extraction import made_pictures
from stage1_core.compute import HERE, Compute, DaskLocalCompute
from stage1_core.data.loading import available_cores
from stage1_core.data.transforms import ResizeCenterCrop
from stage1_core.model.backbone_config import EFFICIENTNET_LITE0
from stage1_core.model.extraction import extract_features
from stage1_core.model.lanes import default_batch_size
from stage1_core.model.shards import ShardExtraction
from stage1_core.model.weights import backbone_digest


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2, help="worker processes (default 2)")
    parser.add_argument("--pictures", type=int, default=1024, help="pictures a round (default 1024)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each (default 3)")
    parser.add_argument("--items", type=int, default=500, help="items without work (default 500)")
    options = parser.parse_args()
    elsewhere = DaskLocalCompute(workers=options.workers)
    shard = shard_extraction()
    with tempfile.TemporaryDirectory() as folder:
        rows = made_pictures(Path(folder), options.pictures)
        pictures = list(zip(rows["sha256"], rows["path"], strict=True))
        shards = shard.shards(pictures)
        warm = options.workers * len(shards[0])
        if len(shards) <= 2 * options.workers:
            parser.error(f"{options.pictures} pictures are {len(shards)} shards; more than two a worker are needed")
        rounds = [
            {
                name: timed_extraction(rows, Path(folder) / f"{name} {turn}", compute, warm)
                for name, compute in (("here", HERE), ("elsewhere", elsewhere))
            }
            for turn in range(options.rounds)
        ]
    ratio = statistics.median(
        pair["elsewhere"].pictures_per_second / pair["here"].pictures_per_second for pair in rounds
    )
    start, per_item = overhead(elsewhere, options.items)
    rate = {name: statistics.median(pair[name].pictures_per_second for pair in rounds) for name in rounds[0]}
    report = {
        "cores": available_cores(),
        "workers": options.workers,
        "pictures_per_second": rate,
        "elsewhere_of_here": ratio,
        "seconds_until_each_worker_gave_a_shard": statistics.median(pair["elsewhere"].warm for pair in rounds),
        "pictures_a_shard": len(shards[0]),
        "bytes_sent_a_shard": len(pickle.dumps(shards[0])),
        "bytes_returned_a_shard": len(shards[0]) * rounds[0]["elsewhere"].hidden * 4,
        "bytes_sent_once": len(pickle.dumps(shard)),
        "seconds_to_start_without_work": start,
        "milliseconds_per_item_without_work": 1000 * per_item,
        "per_item_of_a_shard": per_item * rate["elsewhere"] / len(shards[0]),
    }
    print(json.dumps(report, indent=2))


@dataclass(frozen=True, slots=True)
class Timing:
    """One extraction."""

    pictures_per_second: float
    warm: float
    """Seconds until the pictures were done that do not count."""
    hidden: int


def shard_extraction() -> ShardExtraction:
    """What workers are sent."""
    digest = backbone_digest(EFFICIENTNET_LITE0)
    return ShardExtraction(EFFICIENTNET_LITE0, digest, ResizeCenterCrop(), "cpu", default_batch_size("cpu"))


def timed_extraction(rows: pd.DataFrame, store: Path, compute: Compute, warm: int) -> Timing:
    """All rows into a fresh ``store``; the first ``warm`` pictures do not count."""
    moments: dict[int, float] = {}
    began = time.perf_counter()
    features = extract_features(
        rows,
        EFFICIENTNET_LITE0,
        ResizeCenterCrop(),
        store_folder=store,
        device="cpu",
        compute=compute,
        on_progress=lambda done, _: moments.update({done: time.perf_counter()}),
    )
    first = min(done for done in moments if done >= warm)
    rate = (len(rows) - first) / (moments[len(rows)] - moments[first])
    return Timing(rate, moments[first] - began, features.values.shape[1])


def overhead(compute: Compute, items: int) -> tuple[float, float]:
    """Seconds until the first of ``items`` without work, and seconds for each of the others."""
    began = time.perf_counter()
    results = compute.map(operator.neg, range(items + 1))
    next(results)
    started = time.perf_counter()
    assert sum(1 for _ in results) == items
    return started - began, (time.perf_counter() - started) / items


if __name__ == "__main__":
    main()
