"""From audited rows to rows with a split: which rows are cut, which are given, which are left out."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd

from stage1_core.data.assignment import GroupCounts, assigned
from stage1_core.data.columns import UNLABELED
from stage1_core.data.split_config import CutPool, CutValidation
from stage1_core.errors import AuditError, DataError
from stage1_core.predictions import Boolean, Integer
from stage1_core.splits import Half, Split

_HALVES = (Fraction(1, 2), Fraction(1, 2))
_OTHER_KIND = {"cut_validation": "cut_pool", "cut_pool": "cut_validation"}


def divided(samples: pd.DataFrame, config: CutValidation | CutPool) -> pd.DataFrame:
    """The rows in the order of their ids, with columns ``split`` and ``half`` ("" outside VAL_CALIB).

    Groups stay whole. Unlabeled rows can only be in TRAIN: those of role "val", and those that share a group with a
    validation row, are left out. Raises `DataError` when a row's role has no place in this kind of cut or a part
    lacks a class, `AuditError` when a group lies on both sides of a given train / val boundary.
    """
    rows = samples.sort_values("id", kind="stable", ignore_index=True)
    codes, names = pd.factorize(rows["group"])
    group = codes.astype(np.int64)
    label, role = rows["label"].to_numpy(), rows["role"]
    labelled = label != UNLABELED
    _require_roles(rows[labelled], config)
    in_given = _holds(group, labelled & (role == "train").to_numpy(bool), len(names))
    cut_role = labelled & (role == config.cut_role).to_numpy(bool)
    if isinstance(config, CutValidation):
        _require_apart(rows, group, in_given, _holds(group, cut_role, len(names)))

    shares = config.shares()
    kinds = np.array([kind.value for kind in shares], dtype=object)
    split_of = np.full(len(names), Split.TRAIN.value, dtype=object)
    cut = np.flatnonzero(_holds(group, cut_role & ~in_given[group], len(names)))
    counts = _counts(group, label, names, cut)
    split_of[cut] = kinds[assigned(counts, list(shares.values()), seed=config.seed, step="split")]

    half_of = np.full(len(names), "", dtype=object)
    calib = np.flatnonzero(split_of == Split.VAL_CALIB.value)
    halves = np.array([Half.FIT.value, Half.CERTIFY.value], dtype=object)
    half_of[calib] = halves[assigned(_counts(group, label, names, calib), _HALVES, seed=config.seed, step="half")]

    rows["split"] = pd.array(split_of[group], dtype="str")
    rows["half"] = pd.array(half_of[group], dtype="str")
    kept = labelled | ((rows["split"] == Split.TRAIN.value) & (role != "val")).to_numpy(bool)
    usable: pd.DataFrame = rows[kept].reset_index(drop=True)
    _require_both_classes(usable)
    return usable


def _holds(group: Integer, rows: Boolean, groups: int) -> Boolean:
    """``(groups,)`` whether a group holds one of ``rows``, a mask."""
    return np.bincount(group[rows], minlength=groups) > 0


def _counts(group: Integer, label: Integer, names: pd.Index, chosen: Integer) -> GroupCounts:
    """Labelled rows of the ``chosen`` groups, by class."""
    negatives = np.bincount(group[label == 0], minlength=len(names))
    positives = np.bincount(group[label == 1], minlength=len(names))
    return GroupCounts(names[chosen].tolist(), negatives[chosen], positives[chosen])


def _require_roles(labelled: pd.DataFrame, config: CutValidation | CutPool) -> None:
    misplaced = labelled[~labelled["role"].isin(["train", config.cut_role])]
    if len(misplaced):
        source, role = misplaced.iloc[0][["source", "role"]]
        raise DataError(
            f"source {source} has role {role!r}, which split kind {config.kind!r} has no place for; give it role "
            f"'train' or {config.cut_role!r}, or choose split kind {_OTHER_KIND[config.kind]!r}"
        )
    if not (labelled["role"] == config.cut_role).any():
        raise DataError(
            f"no labelled picture has role {config.cut_role!r}, so there is nothing to cut; give a source that role, "
            f"or choose split kind {_OTHER_KIND[config.kind]!r}"
        )


def _require_apart(rows: pd.DataFrame, group: Integer, in_train: Boolean, in_val: Boolean) -> None:
    both = in_train & in_val
    if both.any():
        row = rows[both[group]].iloc[0]
        raise AuditError(
            f"{int(both.sum())} groups lie in role 'train' and in role 'val', first {row['group']!r} with {row['id']}; "
            "run the audit with leaks = 'drop_from_train', or take the pictures out of one source"
        )


def _require_both_classes(rows: pd.DataFrame) -> None:
    labelled = rows[rows["label"] != UNLABELED]
    for part in Split:
        inside = labelled[labelled["split"] == part.value]
        for half in Half if part is Split.VAL_CALIB else (None,):
            here = inside if half is None else inside[inside["half"] == half.value]
            for label, word in ((1, "positive"), (0, "negative")):
                if not (here["label"] == label).any():
                    place = part.value if half is None else f"{part.value} ({half.value} half)"
                    of_class = labelled[labelled["label"] == label]
                    raise DataError(
                        f"{place} got no {word} picture: the data hold {len(of_class)} of them in "
                        f"{of_class['group'].nunique()} groups; add pictures from more places, or try another seed"
                    )
