"""Labelled predictions that somebody brings along, as the parts that a fit needs: divided by whole groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binom

from stage1_core.data.assignment import GroupCounts, assigned
from stage1_core.errors import DataError
from stage1_core.predictions import Predictions
from stage1_core.splits import CERTIFYING, Purpose

PART_NAMES: Mapping[Purpose, str] = {
    Purpose.SELECT_MODEL: "order",
    Purpose.FIT_CALIBRATOR: "calibrate",
    Purpose.CERTIFY_POLICY: "certify",
    Purpose.CERTIFY_UNCALIBRATED_POLICY: "certify",
}
"""What a part does, in one word."""

_UNUSED = (*sorted(CERTIFYING), Purpose.FINAL_EVALUATION)
"""What rows may have been read for that have decided nothing yet."""

TELLING_ROWS = 20
"""Least number of rows, each unlike all others of its file, that tell files apart by their contents."""

_CHANCE = 1e-6
"""Largest probability that files of different rows are taken for the same."""

_LARGEST_LOGIT = 1e38
"""Beyond it single precision has no number."""


def divided(rows: Predictions, shares: Mapping[Purpose, Fraction], *, seed: int) -> dict[Purpose, Predictions]:
    """``rows`` by purpose: whole groups, each class in about the given ``shares`` of the rows.

    Groups go where the sha256 of seed and name puts them, so that neither the scores nor the order of the rows matter.
    Raises `SplitUseError` for rows that were read to fit weights or to select or calibrate a model, and `DataError`
    where a part gets no row.
    """
    names, group = np.unique(rows.groups, return_inverse=True)
    negatives, positives = (np.bincount(group[rows.labels == label], minlength=len(names)) for label in (0, 1))
    part = assigned(GroupCounts(names.tolist(), negatives, positives), list(shares.values()), seed=seed, step="parts")
    made = {}
    for index, purpose in enumerate(shares):
        mask = part[group] == index
        if not mask.any():
            raise DataError(
                f"no row is left to {PART_NAMES[purpose]}: {len(rows)} rows in {len(names)} groups are divided into "
                f"{len(shares)} parts, and groups stay whole; give more groups, or other shares"
            )
        made[purpose] = as_part(rows.take(mask), purpose)
    return made


def as_part(rows: Predictions, purpose: Purpose) -> Predictions:
    """``rows`` read for ``purpose``, in the order of their ids, so that no sum depends on how a file is sorted.

    Raises `SplitUseError` where they were read for something else that has used them up.
    """
    rows.require(purpose, *_UNUSED)
    return replace(rows.take(np.argsort(rows.scores.ids, kind="stable")), purpose=purpose)


def require_groups_apart(parts: Mapping[Purpose, Predictions]) -> None:
    """Raise `DataError` when a group lies in two parts."""
    owner: dict[str, str] = {}
    for purpose, rows in parts.items():
        name, groups = PART_NAMES[purpose], set(rows.groups.tolist())
        shared = sorted(owner.keys() & groups)
        if shared:
            raise DataError(
                f"{len(shared)} groups lie in the rows that {owner[shared[0]]} and in those that {name}, e.g. "
                f"{shared[0]}; rows of a group resemble each other, keep each group in one file"
            )
        owner.update(dict.fromkeys(groups, name))


def require_contents_apart(files: Mapping[str, Predictions]) -> bool:
    """Raise `DataError` when two files, by name, of which one has no ids, seem to hold the same rows.

    Looks at the rows that are unlike all others of their file: at their labels, the differences of their class logits
    and their gate logits, in single precision. Where scores are coarse, rows of different pictures agree by chance, but
    one of them meets exactly one row of the other file with a probability of about 1/e at most. More than half, and
    more than that chance explains, are the same rows. False where fewer than `TELLING_ROWS` rows can be looked at, and
    nothing can be said.
    """
    with_gate = all(rows.scores.gate_logits is not None for rows in files.values())
    one, other = (_contents(rows, with_gate=with_gate).drop_duplicates(keep=False) for rows in files.values())
    telling = min(len(one), len(other))
    if telling < TELLING_ROWS:
        return False
    same = len(one.merge(other))
    if 2 * same > telling and binom.sf(same - 1, telling, np.exp(-1)) < _CHANCE:
        raise DataError(
            f"{' and '.join(files)} hold the same rows: {same} of {telling} that can be told apart agree in label and "
            "scores; give rows that no other part has, or a column id in each file where they are different pictures"
        )
    return True


def _contents(rows: Predictions, *, with_gate: bool) -> pd.DataFrame:
    """Label and scores by column, the same for one model's outputs whether they were saved as numbers or as text."""
    logits = _single(rows.scores.logits)
    columns = {"label": rows.labels, "margin": _single(logits[:, 1].astype(np.float64) - logits[:, 0])}
    if with_gate and rows.scores.gate_logits is not None:
        columns["gate"] = _single(rows.scores.gate_logits)
    return pd.DataFrame(columns)


def _single(values: NDArray[Any]) -> NDArray[np.float32]:
    single: NDArray[np.float32] = np.clip(values, -_LARGEST_LOGIT, _LARGEST_LOGIT).astype(np.float32)
    return single
