"""Features of pictures, computed once each and kept in a `FeatureStore`."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from stage1_core.data.features import Features, FeatureSpace, FeatureStore, Float32
from stage1_core.data.loading import available_cores
from stage1_core.data.pictures import open_picture
from stage1_core.data.transforms import EvalTransform
from stage1_core.errors import DataError, ModelError
from stage1_core.model.backbone import load_backbone
from stage1_core.model.backbone_config import BackboneConfig
from stage1_core.model.fusion import for_inference
from stage1_core.model.inference import BatchedForward
from stage1_core.model.weights import backbone_digest

Progress = Callable[[int, int], None]
Picture = tuple[str, str]
"""(hex sha256, path)."""

# Small batches keep a CNN's activations in the processor's cache: four are up to twice as fast as 32.
_CPU_BATCH, _ACCELERATOR_BATCH = 4, 64
_MOST_LANES = 32
_SECONDS_BETWEEN_WRITES = 2.0


def extract_features(
    rows: pd.DataFrame,
    backbone_config: BackboneConfig,
    transform: EvalTransform,
    *,
    store_folder: Path,
    device: str | torch.device,
    batch_size: int | None = None,
    workers: int | None = None,
    on_progress: Progress | None = None,
) -> Features:
    """Features of ``rows`` (columns id, path, sha256) in their order; only pictures not yet stored are computed.

    Each picture is computed once, however many rows show it. A killed call loses at most about two seconds of work. A
    second call on the same store waits for the first, then finds its features. ``batch_size``: pictures a forward
    pass; None is 4 on a CPU, 64 elsewhere; out of memory halves it, with a warning to the ``stage1_core`` logger.
    ``workers``: threads that decode and, on a CPU, run the network; None takes one a core. ``on_progress(done, total)``
    counts distinct pictures. On one kind of CPU the features are the same to the bit, however the work is divided.

    Raises `DataError` for pictures that cannot be read or have changed, `ModelError` for the backbone's faults.
    """
    pictures = _distinct_pictures(rows)
    images = rows["sha256"].astype(str).tolist()
    weights, geometry = backbone_digest(backbone_config), transform.digest()
    store = FeatureStore.open(store_folder, backbone_digest=weights, transform_digest=geometry)
    if store is None or store.missing(images):
        backbone = for_inference(load_backbone(backbone_config, device=device))
        space = FeatureSpace(backbone_digest=weights, transform_digest=geometry, hidden=backbone.hidden)
        store = FeatureStore.create(store_folder, space)
        on_cpu = torch.device(device).type == "cpu"
        forward = BatchedForward(backbone, batch_size or (_CPU_BATCH if on_cpu else _ACCELERATOR_BATCH))
        lanes = workers or min(_MOST_LANES, available_cores())
        with store.writing(), _one_thread_an_operation():
            todo = [(image, pictures[image]) for image in store.missing(images)]
            results = _computed(todo, transform, forward, lanes=lanes, network_in_lanes=on_cpu)
            _store(results, store, already=len(pictures) - len(todo), total=len(pictures), on_progress=on_progress)
    elif on_progress:
        on_progress(len(pictures), len(pictures))
    return Features(rows["id"].to_numpy(dtype=np.str_), store.read(images))


def _distinct_pictures(rows: pd.DataFrame) -> dict[str, str]:
    absent = [column for column in ("id", "path", "sha256") if column not in rows]
    if absent:
        raise DataError(f"rows lack the columns {', '.join(absent)}; inspect the sources first, which adds them")
    return dict(zip(rows["sha256"].astype(str), rows["path"].astype(str), strict=True))


def _store(
    results: Iterator[tuple[Sequence[Picture], Float32]],
    store: FeatureStore,
    *,
    already: int,
    total: int,
    on_progress: Progress | None,
) -> None:
    """Append results every few seconds, and what is there when an error ends them."""
    pending: list[tuple[Sequence[Picture], Float32]] = []

    def write() -> None:
        if pending:
            images = [image for pictures, _ in pending for image, _ in pictures]
            store.append(images, np.concatenate([values for _, values in pending]))
            pending.clear()

    done, last_write = already, time.monotonic()
    if on_progress:
        on_progress(done, total)
    try:
        for pictures, values in results:
            pending.append((pictures, _finite(pictures, values)))
            done += len(pictures)
            if time.monotonic() - last_write > _SECONDS_BETWEEN_WRITES:
                write()
                last_write = time.monotonic()
            if on_progress:
                on_progress(done, total)
    finally:
        write()


def _computed(
    pictures: Sequence[Picture],
    transform: EvalTransform,
    forward: BatchedForward,
    *,
    lanes: int,
    network_in_lanes: bool,
) -> Iterator[tuple[Sequence[Picture], Float32]]:
    """Batches and their features in order, decoding ahead in threads (Pillow and PyTorch let go of the interpreter).

    Batches are cut small enough that every lane has one.
    """
    size = max(1, min(forward.batch_size, -(-len(pictures) // lanes)))

    def decoded(batch: Sequence[Picture]) -> Tensor:
        return torch.from_numpy(np.stack([transform.pixels(open_picture(path, sha256=sha)) for sha, path in batch]))

    def work(batch: Sequence[Picture]) -> Tensor | Float32:
        return forward(decoded(batch)) if network_in_lanes else decoded(batch)

    def finished(batch: Sequence[Picture], future: Future[Tensor | Float32]) -> tuple[Sequence[Picture], Float32]:
        made = future.result()
        return batch, forward(made) if isinstance(made, Tensor) else made

    pool = ThreadPoolExecutor(lanes, thread_name_prefix="extract")
    ahead: deque[tuple[Sequence[Picture], Future[Tensor | Float32]]] = deque()
    try:
        for start in range(0, len(pictures), size):
            batch = pictures[start : start + size]
            ahead.append((batch, pool.submit(work, batch)))
            if len(ahead) > 2 * lanes:
                yield finished(*ahead.popleft())
        while ahead:
            yield finished(*ahead.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _finite(pictures: Sequence[Picture], values: Float32) -> Float32:
    broken = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(broken):
        raise ModelError(f"the backbone's features of {pictures[broken[0]][1]} are not finite; check its weights")
    return values


@contextmanager
def _one_thread_an_operation() -> Iterator[None]:
    """Lanes of one thread beat one lane whose threads wait for each other, and sums do not depend on their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
