"""A head on cached features, from its configuration to its best weights."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from stage1_core.model.head import Head, HeadConfig, build_head
from stage1_core.predictions import Text
from stage1_core.training.config import TrainingConfig
from stage1_core.training.cross_fitting import with_held_out_correctness
from stage1_core.training.rows import FeatureRows
from stage1_core.training.session import OnEpoch, run_training
from stage1_core.training.state import TrainingState


def fit_head(
    head: HeadConfig,
    training: TrainingConfig,
    fit_rows: FeatureRows,
    groups: Text,
    select_rows: FeatureRows,
    folder: Path,
    *,
    identity: str,
    on_epoch: OnEpoch | None = None,
) -> tuple[Head, TrainingState]:
    """The head with the weights of the best epoch, and the final state, which holds the other bests that were kept.

    ``groups`` is ``(n,)``, those of the FIT_WEIGHTS rows: where the objective learns from held-out answers, they are
    made first, by folds that keep groups whole. All of it is kept in ``folder``, so a killed call goes on; see
    `run_training` for ``identity`` and the errors.
    """
    build = partial(build_head, fit_rows.features.shape[1], head, seed=training.seed)
    rows = with_held_out_correctness(fit_rows, groups, select_rows, build, training, folder, identity=identity)
    model = build()
    state = run_training(model, rows, select_rows, training, folder, identity=identity, on_epoch=on_epoch)
    return model, state
