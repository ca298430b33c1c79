"""The same training under several seeds: how much of a number is luck. Reads training and selection rows alone."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import torch
from pydantic import Field

from stage1_core.compute import Compute
from stage1_core.config import FrozenModel
from stage1_core.digests import digest_of_file
from stage1_core.model.head import Head, HeadConfig, build_head
from stage1_core.model.head_files import WEIGHTS_FILE, save_head
from stage1_core.predictions import Text
from stage1_core.training.config import TrainingConfig
from stage1_core.training.cross_fitting import with_held_out_correctness
from stage1_core.training.evaluation import EpochMetrics
from stage1_core.training.execution import threads
from stage1_core.training.loop import train
from stage1_core.training.rows import FeatureRows
from stage1_core.training.state import load_best

OnProgress = Callable[[int, int], None]
"""Called with (seeds done, seeds)."""


class SeedResult(FrozenModel):
    """What one seed gave."""

    seed: int
    epoch: Annotated[int, Field(ge=1)]
    """The chosen one, from 1."""
    epochs: Annotated[int, Field(ge=1)]
    """How many were made."""
    metrics: EpochMetrics
    """Of the chosen epoch, on the SELECT_MODEL rows that chose it."""
    head_digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Hex sha256 of the chosen head's weights file."""


class Spread(FrozenModel):
    """A number over several seeds."""

    mean: float
    standard_deviation: float | None
    """Of a sample, with n - 1 in the denominator; null for a single seed, where it is undefined."""
    n: Annotated[int, Field(ge=1)]
    """Seeds."""

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        """Of at least one value."""
        deviation = statistics.stdev(values) if len(values) > 1 else None
        return Spread(mean=statistics.fmean(values), standard_deviation=deviation, n=len(values))


@dataclass(frozen=True, slots=True, eq=False)
class _SeedTraining:
    """A function of the seed, which any process can compute."""

    head: HeadConfig
    training: TrainingConfig
    fit_rows: FeatureRows
    groups: Text
    select_rows: FeatureRows
    threads: int
    """PyTorch's. Sums depend on their number, so it is that of the process that asks."""

    def __call__(self, seed: int) -> SeedResult:
        with threads(self.threads):
            return self._train(self.training.model_copy(update={"seed": seed}))

    def _train(self, training: TrainingConfig) -> SeedResult:
        build = partial(build_head, self.fit_rows.features.shape[1], self.head, seed=training.seed)
        rows = with_held_out_correctness(
            self.fit_rows, self.groups, self.select_rows, build, training, identity="of a sweep, not kept"
        )
        model, metrics = build(), {}
        for result in train(model, rows, self.select_rows, training):
            metrics[result.epoch] = result.metrics
            if result.is_last:
                state = result.state()
        load_best(model, state, training.selection.metric)
        chosen = state.kept[training.selection.metric].epoch
        return SeedResult(
            seed=training.seed,
            epoch=chosen,
            epochs=state.epoch,
            metrics=metrics[chosen],
            head_digest=_weights_digest(model),
        )


def sweep(
    head: HeadConfig,
    training: TrainingConfig,
    fit_rows: FeatureRows,
    groups: Text,
    select_rows: FeatureRows,
    *,
    seeds: Sequence[int],
    compute: Compute,
    on_progress: OnProgress | None = None,
) -> tuple[SeedResult, ...]:
    """One result for each of ``seeds``, in their order; ``training.seed`` is not used.

    Each head is the one that `fit_head` trains with that seed alone, to the bit on one kind of CPU, wherever it is
    computed. ``groups`` is ``(n,)``, those of the FIT_WEIGHTS rows. Nothing is kept: a killed sweep begins again.

    Raises what `train` raises, and `ComputeError` for faults of the workers.
    """
    work = _SeedTraining(head, training, fit_rows, groups, select_rows, torch.get_num_threads())
    found: list[SeedResult] = []
    with closing(compute.map(work, seeds)) as results:
        for result in results:
            found.append(result)
            if on_progress is not None:
                on_progress(len(found), len(seeds))
    return tuple(found)


def _weights_digest(head: Head) -> str:
    with TemporaryDirectory() as folder:
        save_head(head, Path(folder))
        return digest_of_file(Path(folder) / WEIGHTS_FILE)
