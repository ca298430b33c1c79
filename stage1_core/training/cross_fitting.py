"""How models answered that had not seen the rows: what a gate is fitted to."""

from __future__ import annotations

import logging
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
from torch import nn

from stage1_core.config import FrozenModel
from stage1_core.data.assignment import GroupCounts, assigned
from stage1_core.data.replacing import replaced_file
from stage1_core.errors import CheckpointError, DataError, Stage1Error
from stage1_core.model.classifier import predict_features
from stage1_core.predictions import Boolean, Float, Integer, Text
from stage1_core.training.config import TrainingConfig
from stage1_core.training.loop import train
from stage1_core.training.rows import FeatureRows
from stage1_core.training.selection import SelectionConfig
from stage1_core.training.state import load_weights

log = logging.getLogger(__name__)

BuildModel = Callable[[], nn.Module]
OnProgress = Callable[[int, int], None]
"""Called with (folds done, folds)."""


class FoldAnswers(FrozenModel):
    """A finished fold, as it is kept for a call that goes on later."""

    identity: str
    """Digest of all that determines the answers."""
    correct: tuple[bool, ...]
    """Whether the class of each held-out row was named, in the order of the rows."""


def with_held_out_correctness(
    rows: FeatureRows,
    groups: Text,
    select_rows: FeatureRows,
    build_model: BuildModel,
    config: TrainingConfig,
    folder: Path | None = None,
    *,
    identity: str,
    on_progress: OnProgress | None = None,
) -> FeatureRows:
    """``rows`` with `held_out_correct`, where the objective of ``config`` needs it; otherwise as they are.

    ``groups`` is ``(n,)``. The FIT_WEIGHTS rows are cut by group into as many folds as the objective asks for; for each
    fold a fresh model of ``build_model`` is fitted on the other folds and names the fold's classes. ``select_rows`` are
    validated on, as the loop demands, and decide nothing.

    With ``folder`` the answers of each finished fold are kept there, so that a killed call goes on with the next one;
    ``identity`` is the digest of all that determines them, and answers of another are refused with `CheckpointError`.
    Raises `DataError` where a fold has no row of a class.
    """
    folds = config.objective.held_out_folds
    if folds == 0:
        return rows
    fold_of = cross_fitting_folds(rows.labels, groups, folds, seed=config.seed)
    correct: Float = np.empty(len(rows.labels))
    for fold in range(folds):
        inside, outside = np.flatnonzero(fold_of == fold), np.flatnonzero(fold_of != fold)
        file = None if folder is None else folder / f"fold-{fold + 1}.json"
        found = None if file is None else _kept(file, identity)
        if found is None:
            found = held_out_correctness(rows.take(outside), rows.take(inside), select_rows, build_model(), config)
            if file is not None:
                _keep(file, FoldAnswers(identity=identity, correct=tuple(found.tolist())))
        correct[inside] = found
        log.info("fold %d of %d: %.1f %% of %d held-out rows right", fold + 1, folds, 100 * found.mean(), len(inside))
        if on_progress is not None:
            on_progress(fold + 1, folds)
    return FeatureRows(rows.purpose, rows.ids, rows.labels, rows.features, correct)


def held_out_correctness(
    fit_rows: FeatureRows, held_out: FeatureRows, select_rows: FeatureRows, model: nn.Module, config: TrainingConfig
) -> Boolean:
    """``(m,)`` whether ``model``, fitted on ``fit_rows``, names the class of each of the ``m`` held-out rows.

    Fitted with the optimizer, schedule and length of ``config``, but for its classes alone, and to the last epoch: the
    number of epochs is fixed, so nothing is chosen by how any row is answered.
    """
    plain = config.model_copy(
        update={"objective": config.objective.classes, "selection": SelectionConfig(patience=None)}
    )
    *_, last = train(model, fit_rows, select_rows, plain)
    load_weights(model, last.state().averages)
    named = predict_features(model, held_out.features.numpy(), held_out.ids).likelier_class
    correct: Boolean = named == held_out.labels
    return correct


def cross_fitting_folds(labels: Integer, groups: Text, folds: int, *, seed: int) -> Integer:
    """``(n,)`` fold of each row, from 0: groups stay whole, classes are spread as evenly as groups allow.

    Depends on group names, labels, ``folds`` and ``seed`` alone, through sha256. Raises `DataError` where a fold has no
    row of a class.
    """
    names, group = np.unique(groups, return_inverse=True)
    negatives, positives = (np.bincount(group[labels == label], minlength=len(names)) for label in (0, 1))
    counts = GroupCounts(names.tolist(), negatives, positives)
    fold: Integer = assigned(counts, [Fraction(1, folds)] * folds, seed=seed, step="cross_fitting")[group]
    for label in (0, 1):
        rows = np.bincount(fold[labels == label], minlength=folds)
        if (rows == 0).any():
            raise DataError(
                f"fold {int(np.flatnonzero(rows == 0)[0]) + 1} of {folds} got no row of class {label}: the "
                f"FIT_WEIGHTS rows hold {int(rows.sum())} of them in {len(np.unique(group[labels == label]))} groups; "
                "use fewer folds, another seed or pictures from more places"
            )
    return fold


def _kept(file: Path, identity: str) -> Boolean | None:
    if not file.exists():
        return None
    try:
        answers = FoldAnswers.from_json_file(file)
    except Stage1Error as error:
        log.warning("%s; the fold is fitted again", error)
        return None
    if answers.identity != identity:
        raise CheckpointError(
            f"{file} belongs to another configuration ({answers.identity[:12]}, not {identity[:12]}); "
            "continue with the configuration, data and version it was made with, or use an empty folder"
        )
    return np.array(answers.correct, dtype=np.bool_)


def _keep(file: Path, answers: FoldAnswers) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with replaced_file(file) as draft:
        draft.write_text(answers.to_json(), encoding="utf-8")
