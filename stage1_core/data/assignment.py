"""Which group goes into which part: by sha256 of seed and group name, stratified by class, with exact integers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from stage1_core.predictions import Integer


@dataclass(frozen=True, slots=True, eq=False)
class GroupCounts:
    """Labelled rows of ``g`` groups, counted by class."""

    names: Sequence[str]
    """``g`` group names, unique."""
    negatives: Integer
    """``(g,)`` rows of class 0."""
    positives: Integer
    """``(g,)`` rows of class 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """Labelled rows that ``p`` parts hold already, counted by class."""

    negatives: Integer
    """``(p,)`` rows of class 0."""
    positives: Integer
    """``(p,)`` rows of class 1."""

    @staticmethod
    def nothing(parts: int) -> Held:
        """No rows so far."""
        return Held(np.zeros(parts, dtype=np.int64), np.zeros(parts, dtype=np.int64))


def assigned(
    groups: GroupCounts, shares: Sequence[Fraction], held: Held | None = None, *, seed: int, step: str
) -> Integer:
    """``(g,)`` index into ``shares`` for each group; ``step`` makes cuts with one seed independent of each other.

    Two strata: groups with a positive row, then groups with none. Within a stratum the groups stand in the order of
    their sha256 and each goes where the middle of its rows falls, so that a part misses its share of the stratum by
    fewer rows than the largest group has. Negatives that came along with positives are counted against the shares
    before the other negatives are cut. Rows that the parts have ``held`` so far count too: the groups fill up what
    each part lacks. Depends on names, counts, shares, held rows and seed alone, not on the order of groups.
    """
    held = held or Held.nothing(len(shares))
    part = np.empty(len(groups.names), dtype=np.int64)
    order = _hash_order(groups.names, f"{seed}:{step}:")
    has_positive = groups.positives[order] > 0
    cut, rest = order[has_positive], order[~has_positive]
    part[cut] = _parts(groups.positives[cut], _lacking(shares, int(groups.positives.sum()), held.positives))
    came_along = [int(groups.negatives[cut][part[cut] == index].sum()) for index in range(len(shares))]
    negatives = held.negatives + np.array(came_along, dtype=np.int64)
    to_come = int(groups.negatives[rest].sum())
    part[rest] = _parts(groups.negatives[rest], _lacking(shares, to_come, negatives))
    return part


def _hash_order(names: Iterable[str], prefix: str) -> Integer:
    """Positions of ``names`` in the order of the first 16 bytes of the sha256 of prefix and name."""
    start = hashlib.sha256(prefix.encode())
    digests = bytearray()
    for name in names:
        one = start.copy()
        one.update(name.encode())
        digests += one.digest()[:16]
    words = np.frombuffer(bytes(digests), dtype=">u8").reshape(-1, 2)
    return np.lexsort((words[:, 1], words[:, 0]))


def _parts(sizes: Integer, shares: Sequence[Fraction]) -> Integer:
    """``(m,)`` part of each of ``m`` groups laid end to end, by where the middle of its rows falls."""
    total, whole = int(sizes.sum()), sum(shares)
    reached = Fraction(0)
    doubled_ends = []
    for share in shares[:-1]:
        reached += share
        doubled_ends.append(int(2 * total * reached / whole))
    doubled_middles = 2 * np.cumsum(sizes) - sizes
    # A middle that lies exactly on an end belongs to the part before it.
    return np.searchsorted(np.array(doubled_ends, dtype=np.int64), doubled_middles, side="left")


def _lacking(shares: Sequence[Fraction], to_come: int, held: Integer) -> list[Fraction]:
    """Rows that each part lacks of its share of all, the ``(p,)`` held ones and those that are to come."""
    total, whole = to_come + int(held.sum()), sum(shares)
    wanted = [max(Fraction(0), share * total / whole - have) for share, have in zip(shares, held.tolist(), strict=True)]
    return wanted if sum(wanted) > 0 else list(shares)
