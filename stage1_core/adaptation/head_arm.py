"""A head trained on cached features, once with each seed: one recipe of a comparison of optimizers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from stage1_core.digests import canonical_json, digest_of_bytes
from stage1_core.model.classifier import predict_features
from stage1_core.model.head import Head, HeadConfig
from stage1_core.policy.arms import ArmCost
from stage1_core.predictions import Scores, Text
from stage1_core.training.batching import UsedBatch
from stage1_core.training.config import TrainingConfig
from stage1_core.training.cost import CostLog, in_turn
from stage1_core.training.execution import threads
from stage1_core.training.fitting import fit_head
from stage1_core.training.rows import FeatureRows
from stage1_core.training.session import LOG_FILE, OnEpoch
from stage1_core.training.state import TrainingState


@dataclass(frozen=True, slots=True, eq=False)
class TrainedHead:
    """What one seed gave."""

    seed: int
    head: Head
    state: TrainingState
    scores: Scores
    """Of the SELECT_MODEL rows."""
    cost: ArmCost
    batch: UsedBatch
    log: str
    """metrics.csv."""


@dataclass(frozen=True, slots=True, eq=False)
class HeadArm:
    """A function of the seed. ``folder`` takes the checkpoints: a killed training goes on."""

    head: HeadConfig
    training: TrainingConfig
    fit_rows: FeatureRows
    groups: Text
    """``(n,)``, those of the FIT_WEIGHTS rows."""
    select_rows: FeatureRows
    folder: Path
    identity: str
    """Digest of all that determines the training but the seed."""
    threads: int
    """PyTorch's. Sums depend on their number, so it is that of the process that asks."""
    on_epoch: OnEpoch | None = None
    """Told of each epoch after it was saved."""

    def __call__(self, seed: int) -> TrainedHead:
        """The best epoch with ``seed``."""
        with threads(self.threads):
            return self._train(seed)

    def telling(self, on_epoch: OnEpoch) -> Self:
        """The same training, whose epochs ``on_epoch`` is told of; it cannot be sent to other processes."""
        return replace(self, on_epoch=on_epoch)

    def _train(self, seed: int) -> TrainedHead:
        folder = self.folder / f"seed-{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        costs = CostLog(folder)
        head, state = fit_head(
            self.head,
            self.training.model_copy(update={"seed": seed}),
            self.fit_rows,
            self.groups,
            self.select_rows,
            folder,
            identity=digest_of_bytes(canonical_json([self.identity, seed])),
            on_epoch=in_turn(costs, self.on_epoch),
        )
        seconds, memory = costs.total(state.epoch)
        return TrainedHead(
            seed=seed,
            head=head,
            state=state,
            scores=predict_features(head, self.select_rows.features.numpy(), self.select_rows.ids),
            cost=ArmCost(
                trainable_parameters=sum(weights.numel() for weights in state.weights.values()),
                peak_memory_bytes=memory,
                seconds=seconds,
            ),
            batch=UsedBatch(asked=self.training.batch.sizes[0], used=state.batch_size),
            log=(folder / LOG_FILE).read_text(encoding="utf-8"),
        )
