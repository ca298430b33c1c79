"""The groups that no split may part: what an adapter knows, joined with exact and near duplicates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from stage1_core.data.near_duplicates import joined_labels, near_duplicate_groups
from stage1_core.predictions import Integer


@dataclass(frozen=True, slots=True, eq=False)
class Relations:
    """Three partitions of ``n`` sample rows, each number the same for rows that are related."""

    same_file: Integer
    """``(n,)`` rows with the same sha256."""
    look_alike: Integer
    """``(n,)`` rows that a chain of near duplicates connects; equal to ``same_file`` where none are looked for."""
    group: Integer
    """``(n,)`` rows connected by scene, file or looks in any number of steps: what must stay together."""


def related(samples: pd.DataFrame, near_duplicate_distance: int | None) -> Relations:
    """Relations of sample rows; hashes within ``near_duplicate_distance`` bits look alike; None: equal files."""
    scene, file = _codes(samples["group"]), _codes(samples["sha256"])
    looks = file
    if near_duplicate_distance is not None:
        hashes = near_duplicate_groups(samples["phash"].to_numpy(), near_duplicate_distance)
        looks = _joined(file, hashes)
    return Relations(same_file=file, look_alike=looks, group=_joined(scene, looks))


def named_groups(samples: pd.DataFrame, group: Integer) -> pd.Series:
    """A name for each row's group: the smallest adapter group in it, which no other group can have."""
    smallest = samples["group"].groupby(group).min()
    return pd.Series(smallest.to_numpy()[group], index=samples.index, dtype="str")


def _codes(column: pd.Series) -> Integer:
    return np.asarray(pd.factorize(column)[0], dtype=np.int64)


def _joined(one: Integer, other: Integer) -> Integer:
    """The finest partition that parts nothing which either of two partitions keeps together."""
    offset = int(one.max(initial=-1)) + 1
    total = offset + int(other.max(initial=-1)) + 1
    return np.unique(joined_labels(total, one, other + offset)[one], return_inverse=True)[1]
