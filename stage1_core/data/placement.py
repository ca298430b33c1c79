"""Where an earlier ledger put pictures, and which groups of today that binds."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stage1_core.data.columns import UNLABELED, empty_table
from stage1_core.predictions import Boolean, Integer
from stage1_core.splits import Half, Split

PLACED_COLUMNS = ("id", "sha256", "label", "group", "split", "half")
"""What is known of a picture that has a place."""

PLACES: tuple[tuple[Split, Half | None], ...] = tuple(
    (part, half) for part in Split for half in (Half if part is Split.VAL_CALIB else (None,))
)
"""All places that a row can have. Arrays hold their numbers."""
TRAIN = PLACES.index((Split.TRAIN, None))
NOWHERE = -1
"""Instead of a place: the row is new, or the group may still go anywhere."""


@dataclass(frozen=True, slots=True, eq=False)
class Bindings:
    """What earlier places mean for ``n`` rows in ``g`` groups."""

    row: Integer
    """``(n,)`` earlier place of a row, by its file, else by its id; NOWHERE for a new row."""
    group: Integer
    """``(g,)`` place to which a group is bound by a row or by its name; NOWHERE where none does, and where torn."""
    torn: Boolean
    """``(g,)`` whether a group is bound to several places: new pictures have joined what had been parted."""
    settled: Boolean
    """``(n,)`` rows that had a place and a label."""


def bindings(
    rows: pd.DataFrame, group: Integer, names: pd.Index, placed: pd.DataFrame, drawn: Collection[Split]
) -> Bindings:
    """How the pictures that an earlier ledger ``placed`` bind today's ``rows``, whose ``group`` indexes ``names``.

    A labelled picture binds its group, and so does the group's name where all its earlier pictures are gone, to any
    part that is ``drawn``: other parts are given by roles. Where nothing else binds a group, a picture that had no
    label and now has one binds it to a drawn TRAIN, for it may have been pretrained on.
    """
    place, labelled = _places(placed), (placed["label"] != UNLABELED).to_numpy(dtype=np.bool_)
    may_bind = np.array([part in drawn for part, _ in PLACES], dtype=np.bool_)
    found = _first(placed["sha256"], rows["sha256"])
    elsewhere = found == NOWHERE
    found[elsewhere] = _first(placed["id"], rows["id"][elsewhere])
    row = np.append(place, NOWHERE)[found]
    settled = np.append(labelled, False)[found]

    of_name = _first(placed["group"][labelled], names)
    by_name = np.append(place, NOWHERE)[of_name]
    bound_rows = np.flatnonzero(settled & may_bind[row])
    bound_names = np.flatnonzero((by_name != NOWHERE) & may_bind[by_name])
    groups, places = np.append(group[bound_rows], bound_names), np.append(row[bound_rows], by_name[bound_names])
    lowest, highest = np.full(len(names), len(PLACES)), np.full(len(names), NOWHERE)
    np.minimum.at(lowest, groups, places)
    np.maximum.at(highest, groups, places)
    torn = lowest < highest
    if Split.TRAIN in drawn:
        now_labelled = (row != NOWHERE) & ~settled & (rows["label"] != UNLABELED).to_numpy(dtype=np.bool_)
        learned = np.bincount(group[now_labelled], minlength=len(names)) > 0
        highest[learned & (highest == NOWHERE)] = TRAIN
    return Bindings(row=row, group=np.where(torn, NOWHERE, highest), torn=torn, settled=settled)


def nothing_placed() -> pd.DataFrame:
    """The table of placed rows before the first ledger."""
    return empty_table({name: "int8" if name == "label" else "str" for name in PLACED_COLUMNS})


def gone(placed: pd.DataFrame, samples: pd.DataFrame) -> pd.DataFrame:
    """The rows of ``placed`` whose pictures are not among ``samples``, in the order of their ids and files."""
    absent = placed[~placed["sha256"].isin(samples["sha256"])]
    return absent[list(PLACED_COLUMNS)].sort_values(["id", "sha256"], kind="stable", ignore_index=True)


def _places(placed: pd.DataFrame) -> Integer:
    """``(m,)`` number of the place of each row."""
    numbers = {(part.value, half.value if half else ""): number for number, (part, half) in enumerate(PLACES)}
    codes, pairs = pd.factorize(placed["split"] + " " + placed["half"])
    number: Integer = np.array([numbers[tuple(pair.split(" "))] for pair in pairs], dtype=np.int64)[codes]
    return number


def _first(known: pd.Series, wanted: pd.Series | pd.Index) -> Integer:
    """Index in ``known`` of the first row with each ``wanted`` value; NOWHERE where there is none."""
    if known.empty:
        return np.full(len(wanted), NOWHERE)
    first = known.drop_duplicates()
    positions = np.append(first.index.to_numpy(), NOWHERE)
    found: Integer = positions[pd.Index(first).get_indexer(pd.Index(wanted))]
    return found
