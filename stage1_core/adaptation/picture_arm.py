"""Head and adapter trained together on pictures, once with each seed, and the ordinary backbone that comes of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from stage1_core.adaptation.arm import ArmConfig, SharedRecipe
from stage1_core.adaptation.outcomes import AdapterFacts
from stage1_core.data.transforms import AugmentConfig, EvalTransform, NoAugment
from stage1_core.digests import canonical_json, digest_of_bytes
from stage1_core.model.adapters.adapted import AdaptedBackbone, adapt, adapted_modules, merge, trainable_census
from stage1_core.model.adapters.doran import taus
from stage1_core.model.adapters.files import load_adapter, save_adapter
from stage1_core.model.backbone import load_backbone
from stage1_core.model.backbone_config import BackboneConfig
from stage1_core.model.classifier import Classifier, predict
from stage1_core.model.device import best_device
from stage1_core.model.head import Head, build_head
from stage1_core.policy.arms import ArmCost
from stage1_core.predictions import Scores, Text
from stage1_core.splits import Purpose
from stage1_core.training.batching import UsedBatch
from stage1_core.training.cost import CostLog, in_turn
from stage1_core.training.execution import threads
from stage1_core.training.picture_rows import PictureRows
from stage1_core.training.rows import sequential_plan
from stage1_core.training.session import LOG_FILE, OnEpoch, run_training
from stage1_core.training.state import load_weights

log = logging.getLogger(__name__)

_BATCH = 64
_LOOKED_AT = 16
"""Pictures on which what was trained is compared with what is kept of it."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainedArm:
    """What one seed gave."""

    seed: int
    epoch: int
    """The chosen one, from 1."""
    scores: Scores
    """Of the SELECT_MODEL rows."""
    cost: ArmCost
    batch: UsedBatch
    weights: Mapping[str, Tensor]
    """Of the chosen epoch: what was trained, by name."""
    log: str
    """metrics.csv."""


@dataclass(frozen=True, slots=True, eq=False)
class PictureArm:
    """A function of the seed, which any process that sees the pictures can compute.

    ``fit_rows`` and ``select_rows`` are the ledger's, ``folder`` takes the checkpoints: a killed training goes on.
    """

    backbone: BackboneConfig
    arm: ArmConfig
    shared: SharedRecipe
    transform: EvalTransform
    fit_rows: pd.DataFrame
    select_rows: pd.DataFrame
    folder: Path
    identity: str
    """Digest of all that determines the training but the seed."""
    threads: int
    """PyTorch's. Sums depend on their number, so it is that of the process that asks."""
    workers: int
    """Processes that read pictures."""
    on_epoch: OnEpoch | None = None
    """Told of each epoch after it was saved."""

    def __call__(self, seed: int) -> TrainedArm:
        """The best epoch with ``seed``."""
        with threads(self.threads):
            return self._train(seed)

    def telling(self, on_epoch: OnEpoch) -> Self:
        """The same training, whose epochs ``on_epoch`` is told of; it cannot be sent to other processes."""
        return replace(self, on_epoch=on_epoch)

    def _train(self, seed: int) -> TrainedArm:
        folder = self.folder / f"seed-{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        model, costs = self.untrained(seed), CostLog(folder)
        select_rows = self._rows(Purpose.SELECT_MODEL, self.select_rows, NoAugment(), seed)
        training = self.arm.training.model_copy(update={"seed": seed})
        state = run_training(
            model,
            self._rows(Purpose.FIT_WEIGHTS, self.fit_rows, self.shared.augment, seed),
            select_rows,
            training,
            folder,
            identity=digest_of_bytes(canonical_json([self.identity, seed])),
            on_epoch=in_turn(costs, self.on_epoch),
        )
        best = state.kept[training.selection.metric]
        seconds, memory = costs.total(state.epoch)
        return TrainedArm(
            seed=seed,
            epoch=best.epoch,
            scores=predict(model, _batches(select_rows), device=best_device()),
            cost=ArmCost(
                trainable_parameters=sum(trainable_census(model).values()),
                peak_memory_bytes=memory,
                seconds=seconds,
            ),
            batch=UsedBatch(asked=training.batch.sizes[0], used=state.batch_size),
            weights=best.weights,
            log=(folder / LOG_FILE).read_text(encoding="utf-8"),
        )

    def untrained(self, seed: int) -> Classifier:
        """The model before its first step."""
        backbone = load_backbone(self.backbone, device="cpu")
        head = build_head(backbone.hidden, self.shared.head, seed=seed)
        return Classifier(adapt(backbone, self.arm.adapter, seed=seed), head)

    def released(self, trained: TrainedArm) -> tuple[AdaptedBackbone, Head, AdapterFacts]:
        """The adapted backbone and the head of ``trained``, in this process, and what being released changes."""
        model = self.untrained(trained.seed)
        load_weights(model, trained.weights)
        model.eval()
        assert isinstance(model.backbone, AdaptedBackbone)
        return model.backbone, model.head, self._facts(model.backbone, model.head, trained.scores)

    def _facts(self, adapted: AdaptedBackbone, head: Head, scores: Scores) -> AdapterFacts:
        rows = self._rows(Purpose.SELECT_MODEL, self.select_rows.head(_LOOKED_AT), NoAugment(), 0)
        with TemporaryDirectory(prefix="stage1-adapter-") as place:
            save_adapter(adapted, Path(place))
            reloaded = load_adapter(load_backbone(self.backbone, device="cpu"), Path(place)).eval()
        with torch.inference_mode():
            pixels = torch.cat([pixels for _, pixels in _batches(rows)])
            features, merged = adapted(pixels), merge(adapted)(pixels)
            size = features.abs().max()
            merged_by, reloaded_by = ((other - features).abs().max() / size for other in (merged, reloaded(pixels)))
            logits = head(merged).class_logits.numpy()
        scored, tau = scores.logits[: len(pixels)], taus(adapted.base.network)
        if tau:
            log.info("%s: τ of its %d layers is from %.3g to %.3g", self.arm.name, len(tau), min(tau), max(tau))
        return AdapterFacts(
            adapted_layers=len(adapted_modules(adapted)),
            trainable_in_backbone=adapted.trainable_parameter_count,
            pictures=len(pixels),
            merged_difference=float(merged_by),
            reloaded_difference=float(reloaded_by),
            score_difference=float(np.abs(logits - scored).max() / np.abs(scored).max()),
            tau=(min(tau), max(tau)) if tau else None,
        )

    def _rows(self, purpose: Purpose, rows: pd.DataFrame, augment: AugmentConfig, seed: int) -> PictureRows:
        return PictureRows.of(purpose, rows, self.transform, augment=augment, seed=seed, workers=self.workers)


def _batches(rows: PictureRows) -> Iterator[tuple[Text, Tensor]]:
    plan = sequential_plan(len(rows.labels), _BATCH)
    for positions, (pixels, _) in zip(plan, rows.batches(plan, epoch=0), strict=True):
        yield rows.ids[positions], pixels
