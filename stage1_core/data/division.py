"""From audited rows to rows with a split: which rows are cut, which are given, which are left out."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pandas as pd

from stage1_core.data.assignment import GroupCounts, Held, assigned
from stage1_core.data.columns import UNLABELED
from stage1_core.data.placement import NOWHERE, PLACES, TRAIN, Bindings, bindings
from stage1_core.data.split_config import CutPool, CutValidation
from stage1_core.errors import AuditError, DataError
from stage1_core.predictions import Boolean, Integer
from stage1_core.splits import Half, Split

_HALVES = [number for number, (_, half) in enumerate(PLACES) if half is not None]
_SPLIT_WORDS = np.array([split.value for split, _ in PLACES], dtype=object)
_HALF_WORDS = np.array([half.value if half else "" for _, half in PLACES], dtype=object)
_SUFFIXES = np.array([f" in {split.value}{f' {half.value}' if half else ''}" for split, half in PLACES], dtype=object)
"""What tells the groups apart that a torn one falls into: each place keeps its own."""
_OTHER_KIND = {"cut_validation": "cut_pool", "cut_pool": "cut_validation"}


@dataclass(frozen=True, slots=True, eq=False)
class Division:
    """Rows with a place, and how many have none."""

    rows: pd.DataFrame
    """In the order of their ids, with columns ``split`` and ``half`` ("" outside VAL_CALIB)."""
    left_out: int
    """Labelled rows that fit nowhere beside those that were placed earlier."""


def divided(samples: pd.DataFrame, config: CutValidation | CutPool, placed: pd.DataFrame) -> Division:
    """Give every row a split, and in VAL_CALIB a half. ``placed`` are the rows of earlier ledgers (PLACED_COLUMNS).

    Groups stay whole. Placed rows stay where they are, new ones go where the group that they belong to is. Left out
    are rows that join what was parted, rows that would have to move, and rows that would train or validate against
    their role. Unlabeled rows can only be in TRAIN: those of role "val", and those that share a group with a
    validation row, are not used and not counted either.

    Raises `DataError` when a row's role has no place in this kind of cut or a part lacks a class, `AuditError` when a
    group lies on both sides of a given train / val boundary.
    """
    rows = samples.sort_values("id", kind="stable", ignore_index=True)
    codes, names = pd.factorize(rows["group"])
    group = codes.astype(np.int64)
    label, role = rows["label"].to_numpy(), rows["role"]
    labelled = label != UNLABELED
    _require_roles(rows[labelled], config)
    in_given = _holds(group, labelled & (role == "train").to_numpy(bool), len(names))
    cut_role = labelled & (role == config.cut_role).to_numpy(bool)
    in_cut = _holds(group, cut_role, len(names))
    if isinstance(config, CutValidation):
        _require_apart(rows, group, in_given, in_cut)

    bound = bindings(rows, group, names, placed, config.shares())
    free = in_cut & ~in_given & (bound.group == NOWHERE) & ~bound.torn
    place_of = np.where(bound.group == NOWHERE, TRAIN, bound.group)
    place_of[free | bound.torn] = NOWHERE
    place = _row_places(place_of, group, bound)
    held = cut_role & _fits(place, role, bound) & ~(in_given[group] & (place == TRAIN))
    new = np.flatnonzero(free)
    place_of[new] = _drawn(_counts(group, label, names, new), place[held], label[held], config)

    place = _row_places(place_of, group, bound)
    fits = _fits(place, role, bound)
    kept = fits & (labelled | ((place == TRAIN) & (role != "val").to_numpy(bool)))
    torn = bound.torn[group]
    rows.loc[torn, "group"] += _SUFFIXES[place[torn]]
    rows["split"] = pd.array(_SPLIT_WORDS[place], dtype="str")
    rows["half"] = pd.array(_HALF_WORDS[place], dtype="str")
    usable: pd.DataFrame = rows[kept].reset_index(drop=True)
    _require_both_classes(usable)
    return Division(usable, int((labelled & ~fits).sum()))


def _drawn(new: GroupCounts, place: Integer, label: Integer, config: CutValidation | CutPool) -> Integer:
    """``(g,)`` places for the ``new`` groups, beside held rows with these places and labels."""
    shares = config.shares()
    part = np.array([list(shares).index(split) if split in shares else NOWHERE for split, _ in PLACES])
    drawn = assigned(new, list(shares.values()), _held(part[place], label, len(shares)), seed=config.seed, step="split")
    places = np.array([next(n for n, (split, _) in enumerate(PLACES) if split is part) for part in shares])[drawn]

    calib = np.flatnonzero(places == _HALVES[0])
    chosen = GroupCounts([new.names[k] for k in calib.tolist()], new.negatives[calib], new.positives[calib])
    in_calib = np.isin(place, _HALVES)
    held = _held(place[in_calib] - _HALVES[0], label[in_calib], len(_HALVES))
    half = assigned(chosen, [Fraction(1, 2)] * 2, held, seed=config.seed, step="half")
    places[calib] = np.array(_HALVES)[half]
    return places


def _held(part: Integer, label: Integer, parts: int) -> Held:
    return Held(np.bincount(part[label == 0], minlength=parts), np.bincount(part[label == 1], minlength=parts))


def _row_places(place_of: Integer, group: Integer, bound: Bindings) -> Integer:
    """``(n,)`` the place of each row's group; in torn groups that of the row alone."""
    return np.where(bound.torn[group], np.where(bound.settled, bound.row, NOWHERE), place_of[group])


def _fits(place: Integer, role: pd.Series, bound: Bindings) -> Boolean:
    """``(n,)`` rows that have a place, were nowhere else before, and may be there by their role."""
    moved = (bound.row != NOWHERE) & (bound.row != place)
    trains = place == TRAIN
    against_role = np.where(trains, (role == "val").to_numpy(bool), (role == "train").to_numpy(bool))
    fits: Boolean = (place != NOWHERE) & ~moved & ~against_role
    return fits


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
