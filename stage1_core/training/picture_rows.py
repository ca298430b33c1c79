"""Pictures as training rows: decoded, augmented and loaded by worker processes, in the order that the loop asks for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from stage1_core.data.loading import PicturesDataset, batches, generator_of
from stage1_core.data.transforms import AugmentConfig, EvalTransform
from stage1_core.data.workers import end_with_parent
from stage1_core.errors import DataError
from stage1_core.predictions import Integer, Text
from stage1_core.splits import Purpose
from stage1_core.training.targets import Targets


class PictureRows:
    """Rows whose inputs are pixels ``(n, 3, h, w)`` float32 in [0, 1], for training end to end.

    Augmentation depends on the dataset's seed, the epoch and the row, never on workers: any number of them gives
    equal batches. Workers are started at the first batch and stay. Raises `DataError` where lengths differ.
    """

    def __init__(
        self, purpose: Purpose, ids: Text, labels: Integer, pictures: PicturesDataset, *, workers: int = 0
    ) -> None:
        if not len(ids) == len(labels) == len(pictures):
            raise DataError(f"{len(pictures)} pictures, {len(labels)} labels and {len(ids)} ids; pass one each")
        self.purpose = purpose
        self.ids: Text = np.asarray(ids, dtype=np.str_)
        self.labels = labels.astype(np.int64)  # a copy: pandas hands out read-only arrays
        self._plan = _Plan()
        self._loader: DataLoader[tuple[Tensor, int]] = DataLoader(
            pictures,
            batch_sampler=self._plan,
            num_workers=workers,
            pin_memory=torch.cuda.is_available(),
            multiprocessing_context="forkserver" if workers else None,
            worker_init_fn=end_with_parent,
            persistent_workers=workers > 0,
            generator=generator_of(0),  # without it each epoch would move the global generator
        )

    @staticmethod
    def of(
        purpose: Purpose,
        rows: pd.DataFrame,
        transform: EvalTransform,
        *,
        augment: AugmentConfig | None = None,
        seed: int = 0,
        workers: int = 0,
    ) -> PictureRows:
        """The pictures of ``rows`` of a ledger, which were read for ``purpose``; without ``augment``, as they are."""
        ids, labels = rows["id"].to_numpy(dtype=np.str_), rows["label"].to_numpy(dtype=np.int64)
        pictures = PicturesDataset(rows, transform, augment=augment, seed=seed)
        return PictureRows(purpose, ids, labels, pictures, workers=workers)

    def on(self, device: torch.device) -> PictureRows:
        """These rows: pictures are read when they are needed, and the loop moves each batch."""
        return self

    def batches(self, plan: Sequence[Integer], *, epoch: int) -> Iterator[tuple[Tensor, Targets]]:
        """(pixels, targets) on the CPU, without answers of other models.

        Raises `DataError` naming the file where a picture cannot be read.
        """
        self._plan.batches = [[(int(position), epoch) for position in positions] for positions in plan]
        labels = torch.from_numpy(self.labels)
        for pixels, positions in batches(self._loader):
            yield pixels, Targets(labels[positions])


class _Plan(Sampler[list[tuple[int, int]]]):
    """Batches of (row, epoch) that can be changed between epochs, while the workers live on."""

    def __init__(self) -> None:
        self.batches: list[list[tuple[int, int]]] = []

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)
