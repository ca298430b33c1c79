"""Labelled predictions that somebody brings along, as the parts that a fit needs: divided by whole groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

import numpy as np

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
