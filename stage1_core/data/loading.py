"""Feeding pictures to training: augmentation draws depend on (seed, epoch, row) only, never on workers or timing."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from stage1_core.data.pictures import open_picture
from stage1_core.data.transforms import AugmentConfig, EvalTransform, NoAugment
from stage1_core.data.workers import end_with_parent
from stage1_core.errors import DataError

_WORTH_WORKERS = 512
_MOST_WORKERS = 8

Batch = tuple[torch.Tensor, torch.Tensor]
"""Pixels ``(n, 3, h, w)`` float32 in [0, 1] and row numbers ``(n,)`` int64 into the dataset's rows."""


class PicturesDataset(Dataset[tuple[torch.Tensor, int]]):
    """Rows with ``path`` (and ``sha256``, then checked) as (pixels ``(3, h, w)``, row number).

    An item is asked for by (row, epoch), as `EpochSampler` does, or by row alone (epoch 0). Raises `DataError` naming
    the file when a picture cannot be read.
    """

    def __init__(
        self, rows: pd.DataFrame, evaluation: EvalTransform, *, augment: AugmentConfig | None = None, seed: int = 0
    ) -> None:
        self._paths: list[str] = rows["path"].astype(str).tolist()
        self._sha256: list[str] | None = rows["sha256"].astype(str).tolist() if "sha256" in rows else None
        self._evaluation = evaluation
        self._augment = augment or NoAugment()
        self._seed = seed

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, item: int | tuple[int, int]) -> tuple[torch.Tensor, int]:
        row, epoch = item if isinstance(item, tuple) else (item, 0)
        image = open_picture(self._paths[row], sha256=self._sha256[row] if self._sha256 else None)
        generator = generator_of(self._seed, epoch, row)
        return self._augment.apply(image, generator=generator, evaluation=self._evaluation), row


class EpochSampler(Sampler[tuple[int, int]]):
    """(row, epoch) pairs over all rows, in an order that (seed, epoch) decides.

    The epoch travels with each item, so that it also reaches workers that outlive an epoch.
    """

    def __init__(self, count: int, *, seed: int, shuffle: bool) -> None:
        self._count, self._seed, self._shuffle = count, seed, shuffle
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch (from 0) that the next iteration is for."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order: Sequence[int] = range(self._count)
        if self._shuffle:
            order = torch.randperm(self._count, generator=generator_of(self._seed, self.epoch)).tolist()
        epoch = self.epoch
        return ((row, epoch) for row in order)


def picture_loader(
    dataset: PicturesDataset,
    *,
    batch_size: int,
    shuffle: bool,
    seed: int,
    workers: int | None = None,
    drop_last: bool = False,
) -> DataLoader[tuple[torch.Tensor, int]]:
    """A loader of `Batch` whose ``.sampler.set_epoch(epoch)`` must be called before each epoch.

    ``workers``: processes; None chooses none for small data, else one fewer than the cores (at least 1, at most 8).
    They are started by a fork server, so threads and CUDA of this process do no harm; batches are the same for any
    number. Read it through `batches` for errors in one line.
    """
    count = workers if workers is not None else sensible_workers(len(dataset))
    if count:  # the server imports PyTorch once, not each worker
        multiprocessing.set_forkserver_preload(["__main__", __name__])
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=EpochSampler(len(dataset), seed=seed, shuffle=shuffle),
        num_workers=count,
        drop_last=drop_last,
        pin_memory=torch.cuda.is_available(),
        multiprocessing_context="forkserver" if count else None,
        worker_init_fn=end_with_parent,
        persistent_workers=count > 0,
        generator=generator_of(seed),  # without it each epoch would draw from, and so move, the global generator
    )


def batches(loader: DataLoader[tuple[torch.Tensor, int]]) -> Iterator[Batch]:
    """The loader's batches; a `DataError` of a worker process arrives without that process' traceback."""
    try:
        yield from loader
        return
    except DataError as error:
        message = str(error).strip().splitlines()[-1].removeprefix(f"{_QUALIFIED_NAME}: ")
    # Raised outside the handler: the old error's traceback would keep the loader's workers alive.
    raise DataError(message)


_QUALIFIED_NAME = f"{DataError.__module__}.{DataError.__qualname__}"


def generator_of(*entropy: int) -> torch.Generator:
    """A CPU generator seeded by all of the non-negative numbers: different tuples give unrelated streams."""
    # Trailing zeros do not count in a seed sequence; the length before them does.
    state = np.random.SeedSequence((len(entropy), *entropy)).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


def available_cores() -> int:
    """CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def sensible_workers(pictures: int) -> int:
    """Processes worth starting to read ``pictures`` pictures again and again; 0 reads them in this one."""
    return 0 if pictures < _WORTH_WORKERS else min(_MOST_WORKERS, max(1, available_cores() - 1))
