"""Where batches come from: the loop asks for rows by position, be they cached features or pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import torch
from torch import Tensor

from stage1_core.errors import DataError
from stage1_core.predictions import Float, Integer, Text
from stage1_core.splits import Purpose
from stage1_core.training.targets import Targets

if TYPE_CHECKING:  # a training loop alone needs no tables
    from stage1_core.data.features import Features
    from stage1_core.data.ledger import SplitLedger


class Rows(Protocol):
    """Labelled rows, read for one purpose."""

    @property
    def purpose(self) -> Purpose:
        """What they were read for."""
        ...

    @property
    def ids(self) -> Text:
        """``(n,)`` picture ids."""
        ...

    @property
    def labels(self) -> Integer:
        """``(n,)`` true class, 0 or 1."""
        ...

    def on(self, device: torch.device) -> Self:
        """The same rows with what fits in memory moved to ``device``."""
        ...

    def batches(self, plan: Sequence[Integer], *, epoch: int) -> Iterator[tuple[Tensor, Targets]]:
        """(inputs, targets) for each array of positions in ``plan``, in order.

        ``epoch`` counts from 1 and seeds augmentation, so that an epoch that is repeated sees the same pixels.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class FeatureRows:
    """Cached features in memory. Batches are indexed directly: no loader, no workers, no copies but the batch."""

    purpose: Purpose
    ids: Text
    labels: Integer
    features: Tensor
    """``(n, features)`` float32."""
    held_out_correct: Float | None = None
    """``(n,)``: 1 where a model that had not seen the row named its class, 0 where it did not; see `cross_fitting`."""

    def __post_init__(self) -> None:
        n = len(self.ids)
        if self.held_out_correct is not None and self.held_out_correct.shape != (n,):
            raise DataError(f"held_out_correct has shape {self.held_out_correct.shape} for {n} ids; pass one each")
        if self.features.shape[:1] != (n,) or self.labels.shape != (n,):
            raise DataError(
                f"{self.features.shape[0]} feature rows and {len(self.labels)} labels for {n} ids; pass one each"
            )

    @staticmethod
    def of(purpose: Purpose, ids: Text, values: np.ndarray[Any, np.dtype[np.float32]], labels: Integer) -> FeatureRows:
        """Copy ``(n, features)`` ``values``, which may be a read-only memory map, into memory."""
        features = torch.from_numpy(np.array(values, dtype=np.float32))
        return FeatureRows(purpose, np.asarray(ids, dtype=np.str_), labels.astype(np.int64), features)

    @staticmethod
    def read(features: Features, ledger: SplitLedger, purpose: Purpose) -> FeatureRows:
        """The rows of ``purpose`` among ``features``, which may hold others too."""
        rows = ledger.rows(purpose)
        place = {name: index for index, name in enumerate(features.ids.tolist())}
        ids, labels = rows["id"].to_numpy(dtype=np.str_), rows["label"].to_numpy(dtype=np.int64)
        return FeatureRows.of(purpose, ids, features.values[[place[name] for name in ids.tolist()]], labels)

    def on(self, device: torch.device) -> FeatureRows:
        """The features on ``device``."""
        return replace(self, features=self.features.to(device))

    def take(self, positions: Integer) -> FeatureRows:
        """The rows at ``positions``."""
        correct = None if self.held_out_correct is None else self.held_out_correct[positions]
        features = self.features[torch.from_numpy(positions)]
        return FeatureRows(self.purpose, self.ids[positions], self.labels[positions], features, correct)

    def batches(self, plan: Sequence[Integer], *, epoch: int) -> Iterator[tuple[Tensor, Targets]]:
        """Features and targets on the device of the features."""
        device = self.features.device
        labels = torch.from_numpy(np.array(self.labels)).to(device)
        known = self.held_out_correct
        correct = None if known is None else torch.from_numpy(known.astype(np.float32)).to(device)
        for positions in plan:
            index = torch.from_numpy(positions).to(device)
            chosen = None if correct is None else correct.index_select(0, index)
            yield self.features.index_select(0, index), Targets(labels.index_select(0, index), chosen)


def sequential_plan(rows: int, batch_size: int) -> list[Integer]:
    """All positions in order, ``batch_size`` at a time; the last may be shorter."""
    return split_order(np.arange(rows), batch_size, drop_last=False)


def split_order(order: Integer, batch_size: int, *, drop_last: bool) -> list[Integer]:
    """``order`` cut into batches; ``drop_last`` leaves out a short last one."""
    plan = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    return plan[:-1] if drop_last and plan and len(plan[-1]) < batch_size else plan
