"""Tasks that train the same head on cached features by different recipes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from stage1_core.adaptation.head_arm import HeadArm
from stage1_core.bundle.artifact import ArtifactKind, ArtifactRef
from stage1_core.config import FrozenModel
from stage1_core.data.ledger import SplitLedger
from stage1_core.model.head import HeadConfig
from stage1_core.phases.stability import stability_report
from stage1_core.training.config import TrainingConfig
from stage1_core.training.epoch_log import read_numbers
from stage1_core.training.session import LOG_FILE
from tasks._device import device_slot
from tasks._progress import progress
from tasks._task import task
from tasks._workspace import checkpoint_folder, store
from tasks.acceptance import ACCEPTANCE_FILE
from tasks.arms import TrainedRecipe, TrainedSeed, put_seed_head, seed_predictions, with_every_seed
from tasks.backbones import SEEN
from tasks.data import load_ledger
from tasks.features import feature_rows
from tasks.training import training_identity


class HeadRecipe(FrozenModel):
    """A head, trained by one recipe."""

    recipe: TrainedRecipe
    heads: tuple[ArtifactRef, ...]
    """By seed, each with its metrics.csv."""


class JudgedHeads(FrozenModel):
    """A head, trained by several recipes, and which of them was chosen."""

    trained: tuple[HeadRecipe, ...]
    stability: ArtifactRef
    """Whether every training went downhill."""
    judged: ArtifactRef


@task
def train_with(
    name: str,
    head: HeadConfig,
    training: TrainingConfig,
    seeds: Sequence[int],
    ledger: ArtifactRef,
    features: ArtifactRef,
) -> HeadRecipe:
    """Train the head with every seed; killed, it goes on where it was."""
    splits, inputs = load_ledger(ledger), [ledger, features]
    with device_slot(), progress(f"training {name}") as on_progress:
        arm = _head_arm(head, training, splits, features)
        trained = with_every_seed(arm, training.epochs, seeds, on_progress)
    heads = [put_seed_head(one.head, one.log, inputs) for one in trained]
    runs = [
        TrainedSeed(seed=one.seed, rows=seed_predictions(splits, one.scores, inputs), cost=one.cost, batch=one.batch)
        for one in trained
    ]
    return HeadRecipe(recipe=TrainedRecipe(name=name, runs=tuple(runs), head=heads[0]), heads=tuple(heads))


@task
def check_stability(trained: Sequence[HeadRecipe]) -> ArtifactRef:
    """Whether every training went downhill."""
    logs = {one.recipe.name: [read_numbers(store().open(head) / LOG_FILE) for head in one.heads] for one in trained}
    inputs = [head for one in trained for head in one.heads]
    return store().put_file(ArtifactKind.ACCEPTANCE, ACCEPTANCE_FILE, stability_report(logs), inputs=inputs)


def _head_arm(head: HeadConfig, training: TrainingConfig, splits: SplitLedger, features: ArtifactRef) -> HeadArm:
    fit_rows, select_rows = (feature_rows(features, splits, purpose) for purpose in SEEN)
    identity = training_identity(head, training, features)
    return HeadArm(
        head=head,
        training=training,
        fit_rows=fit_rows,
        groups=splits.rows(fit_rows.purpose)["group"].to_numpy(dtype=np.str_),
        select_rows=select_rows,
        folder=checkpoint_folder(identity),
        identity=identity,
        threads=torch.get_num_threads(),
    )
