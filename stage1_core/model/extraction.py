"""Features of pictures, computed once each and kept in a `FeatureStore`."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from stage1_core.compute import HERE, Compute, DaskCompute, LocalCompute
from stage1_core.data.features import Features, FeatureSpace, FeatureStore, Float32
from stage1_core.data.transforms import EvalTransform
from stage1_core.errors import DataError, ModelError
from stage1_core.model.backbone import load_backbone
from stage1_core.model.backbone_config import BackboneConfig
from stage1_core.model.fusion import for_inference
from stage1_core.model.inference import BatchedForward
from stage1_core.model.lanes import (
    Computed,
    Picture,
    default_batch_size,
    default_lanes,
    in_lanes,
    one_thread_an_operation,
)
from stage1_core.model.shards import ShardExtraction
from stage1_core.model.weights import backbone_digest

Progress = Callable[[int, int], None]

_SECONDS_BETWEEN_WRITES = 2.0


def extract_features(
    rows: pd.DataFrame,
    backbone_config: BackboneConfig,
    transform: EvalTransform,
    *,
    store_folder: Path,
    device: str | torch.device,
    compute: Compute = HERE,
    batch_size: int | None = None,
    workers: int | None = None,
    on_progress: Progress | None = None,
) -> Features:
    """Features of ``rows`` (columns id, path, sha256) in their order; only pictures not yet stored are computed.

    Each picture is computed once, however many rows show it. A killed call loses at most about two seconds of work,
    on workers the shards that they hold. A second call on the same store waits for the first, then finds its features.
    ``compute``: here, ``workers`` threads decode and, on a CPU, run the network (None takes one a core); elsewhere
    processes read pictures and weights under the same paths, and this process alone writes.
    ``batch_size``: pictures a forward pass; None is 4 on a CPU, 64 elsewhere; out of memory halves it, with a warning
    to the ``stage1_core`` logger. ``on_progress(done, total)`` counts distinct pictures. On one kind of CPU the
    features are the same to the bit, wherever the work is done; a picture's place in its batch, which depends on what
    is stored already, can change its last bit.

    Raises `DataError` for pictures that cannot be read or have changed, `ModelError` for the backbone's faults,
    `ComputeError` for the workers'.
    """
    pictures = _distinct_pictures(rows)
    images = rows["sha256"].astype(str).tolist()
    weights, geometry = backbone_digest(backbone_config), transform.digest()
    store = FeatureStore.open(store_folder, backbone_digest=weights, transform_digest=geometry)
    if store is None or store.missing(images):
        here = isinstance(compute, LocalCompute)
        backbone = load_backbone(backbone_config, device=device if here else "cpu")
        space = FeatureSpace(backbone_digest=weights, transform_digest=geometry, hidden=backbone.hidden)
        store = FeatureStore.create(store_folder, space)
        size = batch_size or default_batch_size(device)
        with store.writing(), one_thread_an_operation():
            todo = [(image, pictures[image]) for image in store.missing(images)]
            if here:
                forward = BatchedForward(for_inference(backbone), size)
                results = in_lanes(todo, transform, forward, lanes=workers or default_lanes())
            else:
                shard = ShardExtraction(backbone_config, weights, transform, _device_there(device, compute), size)
                results = _computed_elsewhere(shard, todo, compute)
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
    results: Generator[Computed],
    store: FeatureStore,
    *,
    already: int,
    total: int,
    on_progress: Progress | None,
) -> None:
    """Append results every few seconds, and what is there when an error ends them."""
    pending: list[Computed] = []

    def write() -> None:
        if pending:
            images = [image for pictures, _ in pending for image, _ in pictures]
            store.append(images, np.concatenate([values for _, values in pending]))
            pending.clear()

    done, last_write = already, time.monotonic()
    if on_progress:
        on_progress(done, total)
    try:
        with closing(results):
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


def _device_there(device: str | torch.device, compute: Compute) -> str:
    """The number of a GPU is this machine's; on others the first is meant."""
    return torch.device(device).type if isinstance(compute, DaskCompute) else str(device)


def _computed_elsewhere(
    extraction: ShardExtraction, pictures: Sequence[Picture], compute: Compute
) -> Generator[Computed]:
    shards = extraction.shards(pictures)
    if shards:  # else no workers are started
        with closing(compute.map(extraction, shards)) as values:
            yield from zip(shards, values, strict=True)


def _finite(pictures: Sequence[Picture], values: Float32) -> Float32:
    broken = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(broken):
        raise ModelError(f"the backbone's features of {pictures[broken[0]][1]} are not finite; check its weights")
    return values
