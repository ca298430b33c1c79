"""End-to-end feature extraction against the bare network, in one run.

Pictures are read, checked, decoded, transformed, run through the packaged EfficientNet-Lite0 and written to a fresh
feature store. The peer is the same network on pixels that are already in memory, in the best of several arrangements:
one pass at a time with all of PyTorch's threads, or one pass a core with one thread each (what extraction does itself;
it wins where other work shares the cores), with batches of 4 and with extraction's own. Loading and folding the network
are not counted, and given apart. Rounds alternate, medians are compared. Goal: end to end at 85 % of the bare network's
rate or more. Processor seconds are given too: other work on the cores hardly changes them.

    python -m benchmarks.feature_extraction
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from stage1_core.data.loading import available_cores
from stage1_core.data.transforms import ResizeCenterCrop
from stage1_core.digests import digest_of_file
from stage1_core.model.backbone import Backbone, load_backbone
from stage1_core.model.backbone_config import EFFICIENTNET_LITE0
from stage1_core.model.extraction import extract_features
from stage1_core.model.fusion import for_inference
from stage1_core.model.lanes import default_batch_size

GOAL = 0.85
CPU_BATCH = 4  # the fastest of 1 to 32 on two cores for each of the bare arrangements


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=96, help="pictures a round (default 96)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each (default 7)")
    parser.add_argument("--device", default="cpu", help="PyTorch device (default cpu)")
    options = parser.parse_args()
    plain = load_backbone(EFFICIENTNET_LITE0, device=options.device)
    fast = for_inference(plain)
    sizes = sorted({CPU_BATCH, default_batch_size(options.device)})
    measured: dict[str, list[Timing]] = {}
    with tempfile.TemporaryDirectory() as folder:
        rows = made_pictures(Path(folder), options.pictures)
        extract_once(rows.head(8), Path(folder) / "warm", options.device)
        ways: dict[str, Callable[[int], Timing]] = {
            "end_to_end": lambda turn: end_to_end(rows, Path(folder) / str(turn), options.device),
            "bare_all_threads_without_folding": lambda _: bare(plain, options.pictures, sizes[-1]),
            "from_the_store": lambda _: timed(
                lambda: extract_once(rows, Path(folder) / "0", options.device), options.pictures
            ),
        }
        peers = {
            f"{name}_batches_of_{size}": partial(way, fast, options.pictures, size)
            for name, way in (("bare_one_thread_a_core", bare_in_lanes), ("bare_all_threads", bare))
            for size in sizes
        }
        ways |= {name: lambda _, way=way: way() for name, way in peers.items()}
        for turn in range(options.rounds):
            for name, way in ways.items():
                measured.setdefault(name, []).append(way(turn))
    rate = {
        name: statistics.median(timing.pictures_per_second for timing in timings) for name, timings in measured.items()
    }
    peer = max(peers, key=rate.__getitem__)
    pairs = list(zip(measured["end_to_end"], measured[peer], strict=True))
    ratio = statistics.median(ours.pictures_per_second / theirs.pictures_per_second for ours, theirs in pairs)
    report = {
        "device": options.device,
        "cores": available_cores(),
        "pictures_per_second": rate,
        "peer": peer,
        "end_to_end_of_peer": ratio,
        "goal": GOAL,
        "reached": ratio >= GOAL,
        "processor_seconds_of_peer_in_end_to_end": statistics.median(
            theirs.processor_seconds / ours.processor_seconds for ours, theirs in pairs
        ),
        "seconds_of_loading_and_folding": statistics.median(ours.seconds_before for ours, _ in pairs),
        "largest_relative_difference_of_folding": folding_difference(plain, fast),
    }
    print(json.dumps(report, indent=2))


@dataclass(frozen=True, slots=True)
class Timing:
    """One round."""

    pictures_per_second: float
    processor_seconds: float
    """Of all threads, a picture: what other work on the cores hardly changes."""
    seconds_before: float = 0.0
    """Of loading and folding, which are not counted."""


def made_pictures(folder: Path, count: int) -> pd.DataFrame:
    """Smooth coloured noise as 320 x 240 JPEG files of about 15 kB, like rendered road scenes."""
    rng = np.random.default_rng(0)
    paths = []
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8))
        paths.append(folder / f"{number}.jpg")
        coarse.resize((320, 240), Image.Resampling.BICUBIC).save(paths[-1], quality=85)
    sha256 = [digest_of_file(path) for path in paths]
    return pd.DataFrame({"id": [path.name for path in paths], "path": [str(path) for path in paths], "sha256": sha256})


def end_to_end(rows: pd.DataFrame, store: Path, device: str) -> Timing:
    """Extraction of all rows, from the moment when the network is ready and nothing is done yet."""
    called, moments = clocks(), []
    extract_once(rows, store, device, on_progress=lambda *_: moments.append(clocks()))
    wall, processor = (clocks() - moments[0]).tolist()
    return Timing(len(rows) / wall, processor / len(rows), seconds_before=float((moments[0] - called)[0]))


def extract_once(
    rows: pd.DataFrame, store: Path, device: str, on_progress: Callable[[int, int], None] | None = None
) -> None:
    """All rows into ``store``."""
    extract_features(
        rows, EFFICIENTNET_LITE0, ResizeCenterCrop(), store_folder=store, device=device, on_progress=on_progress
    )


def bare(backbone: Backbone, pictures: int, size: int) -> Timing:
    """The network alone, one pass of ``size`` pictures after the other with all of PyTorch's threads."""
    pixels = in_memory(backbone, size)
    passes = -(-pictures // size)

    def run() -> None:
        with torch.inference_mode():
            for _ in range(passes):
                features = backbone(pixels)
            features.cpu()

    return timed(run, passes * size)


def bare_in_lanes(backbone: Backbone, pictures: int, size: int) -> Timing:
    """The network alone, one pass of ``size`` pictures a core at a time with one thread each."""
    pixels = in_memory(backbone, size)
    passes = -(-pictures // size)

    def one_pass(_number: int) -> Tensor:
        with torch.inference_mode():
            features: Tensor = backbone(pixels)
            return features.cpu()

    def run() -> None:
        with ThreadPoolExecutor(available_cores()) as pool:
            deque(pool.map(one_pass, range(passes)), maxlen=0)

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    measured = timed(run, passes * size)
    torch.set_num_threads(threads)
    return measured


def in_memory(backbone: Backbone, size: int) -> Tensor:
    """A batch of pixels, channels last."""
    return torch.rand(size, 3, 224, 224, device=backbone.mean.device).to(memory_format=torch.channels_last)


def timed(work: Callable[[], None], pictures: int) -> Timing:
    """Wall clock and processor time of ``work`` on ``pictures``."""
    began = clocks()
    work()
    wall, processor = (clocks() - began).tolist()
    return Timing(pictures / wall, processor / pictures)


def clocks() -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Seconds by the wall clock, and of processor time of this process."""
    return np.array([time.perf_counter(), time.process_time()])


def folding_difference(plain: Backbone, fast: Backbone) -> float:
    """Largest difference of features, relative to the largest feature."""
    pixels = torch.rand(8, 3, 224, 224, device=plain.mean.device)
    with torch.inference_mode():
        expected = plain(pixels)
        return float((fast(pixels) - expected).abs().max() / expected.abs().max())


if __name__ == "__main__":
    main()
