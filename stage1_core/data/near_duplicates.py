"""Pictures whose perceptual hashes differ in few bits, joined transitively: exact, and near-linear in their number."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from stage1_core.predictions import Boolean, Integer

Hashes = NDArray[np.uint64]

_BITS = 64
_COMPARED_AT_ONCE = 64
"""Buckets up to this size are compared pair by pair; larger ones are cut again."""
_EDGES_KEPT = 1 << 21
"""Edges gathered before they are folded into the components, which bounds the memory of dense data."""


def near_duplicate_groups(hashes: Hashes, distance: int) -> Integer:
    """``(n,)`` number of the group of each of ``n`` 64-bit hashes, numbered from 0 by first appearance.

    Two hashes are in one group when a chain of hashes leads from one to the other in steps of at most ``distance``
    differing bits. Multi-index hashing (Norouzi, Punjani, Fleet, CVPR 2012): of ``distance`` + 1 bands, two such
    hashes agree in at least one, so only buckets of equal bands are searched. A bucket that is still large is cut
    again, into bands of the bits in which its members differ, unless all its members are already in one group.
    """
    values, inverse = np.unique(np.asarray(hashes, dtype=np.uint64), return_inverse=True)
    components = _Components(len(values))
    work = [_Buckets(np.arange(len(values)), np.array([len(values)]))] if len(values) > 1 else []
    while work:
        remaining = _searched(work.pop(), values, distance, components)
        if len(remaining.sizes):
            work.extend(_cut(remaining, values, distance))
    return _by_first_appearance(components.labels()[inverse])


class _Buckets(NamedTuple):
    """Buckets laid end to end."""

    members: Integer
    """``(m,)`` positions in the table of distinct hashes; ascending within each bucket."""
    sizes: Integer
    """``(b,)`` members of each bucket, at least 2; they add up to m."""

    def keep(self, chosen: Boolean) -> _Buckets:
        """The buckets where the ``(b,)`` mask is true."""
        return _Buckets(self.members[np.repeat(chosen, self.sizes)], self.sizes[chosen])

    @property
    def starts(self) -> Integer:
        """``(b,)`` position of the first member of each bucket."""
        return np.cumsum(self.sizes) - self.sizes


class _Components:
    """Connected components of ``n`` nodes, by edges that are folded in now and then."""

    def __init__(self, n: int) -> None:
        self._labels: Integer = np.arange(n)
        self._edges: list[tuple[Integer, Integer]] = []
        self._kept = 0

    def join(self, left: Integer, right: Integer) -> None:
        """Join node ``left[k]`` with ``right[k]`` for each k."""
        apart = self._labels[left] != self._labels[right]
        self._edges.append((left[apart], right[apart]))
        self._kept += int(apart.sum())
        if self._kept > _EDGES_KEPT:
            self.labels()

    def labels(self) -> Integer:
        """``(n,)`` component of each node."""
        if self._kept:
            left, right = (self._labels[np.concatenate(ends)] for ends in zip(*self._edges, strict=True))
            self._labels = joined_labels(int(self._labels.max()) + 1, left, right)[self._labels]
        self._edges, self._kept = [], 0
        return self._labels


def joined_labels(n: int, left: Integer, right: Integer) -> Integer:
    """``(n,)`` component of each of ``n`` nodes under the edges ``left[k]`` to ``right[k]``."""
    graph = coo_array((np.ones(len(left), dtype=np.bool_), (left, right)), shape=(n, n))
    labels: Integer = connected_components(graph, directed=False)[1].astype(np.int64)
    return labels


def _searched(buckets: _Buckets, values: Hashes, distance: int, components: _Components) -> _Buckets:
    """Join all near pairs of small buckets; give back the large ones that are not yet in one component each."""
    differing = _differing_bits(buckets, values)
    is_close = np.bitwise_count(differing) <= distance
    is_small = ~is_close & (buckets.sizes <= _COMPARED_AT_ONCE)
    close = buckets.keep(is_close)
    follows = np.ones(len(close.members), dtype=np.bool_)
    follows[close.starts] = False
    components.join(close.members[:-1][follows[1:]], close.members[1:][follows[1:]])
    for left, right in _pairs(buckets.keep(is_small)):
        _join_near(left, right, values, distance, components)
    large = buckets.keep(~is_close & ~is_small)
    if len(large.sizes):
        # Neighbours in the order of their values are often near; in dense data these few edges settle most buckets.
        _join_near(large.members[:-1], large.members[1:], values, distance, components)
        label = components.labels()[large.members]
        low, high = np.minimum.reduceat(label, large.starts), np.maximum.reduceat(label, large.starts)
        large = large.keep(low != high)
    return large


def _join_near(left: Integer, right: Integer, values: Hashes, distance: int, components: _Components) -> None:
    near = np.bitwise_count(values[left] ^ values[right]) <= distance
    components.join(left[near], right[near])


def _differing_bits(buckets: _Buckets, values: Hashes) -> Hashes:
    """``(b,)`` bits in which not all members of a bucket agree."""
    members, starts = values[buckets.members], buckets.starts
    # numpy's stubs take every reduceat of a bitwise function for one of truth values.
    differing = np.bitwise_or.reduceat(members, starts) ^ np.bitwise_and.reduceat(members, starts)
    return differing.astype(np.uint64, copy=False)


def _pairs(buckets: _Buckets) -> Iterator[tuple[Integer, Integer]]:
    """All pairs of members of each bucket, in as many pieces as the largest bucket has members."""
    place = np.arange(len(buckets.members))
    end = np.repeat(buckets.starts + buckets.sizes, buckets.sizes)
    for offset in itertools.count(1):
        place = place[place + offset < end[place]]
        if not len(place):
            return
        yield buckets.members[place], buckets.members[place + offset]


def _cut(buckets: _Buckets, values: Hashes, distance: int) -> Iterator[_Buckets]:
    """Each bucket cut by each of ``distance`` + 1 bands of its differing bits."""
    differing = _differing_bits(buckets, values)
    bands = np.zeros((distance + 1, len(differing)), dtype=np.uint64)
    rank = np.zeros(len(differing), dtype=np.int64)
    count = np.bitwise_count(differing).astype(np.int64)
    columns = np.arange(len(differing))
    for bit in range(_BITS):
        mask = np.uint64(1) << np.uint64(bit)
        varies = (differing & mask) != 0
        bands[(rank * (distance + 1) // count)[varies], columns[varies]] |= mask
        rank += varies
    owner = np.repeat(columns, buckets.sizes)
    for band in bands:
        yield _grouped(buckets.members, owner, values[buckets.members] & band[owner])


def _grouped(members: Integer, owner: Integer, key: Hashes) -> _Buckets:
    """Members with equal owner and key, where there are at least two."""
    order = np.lexsort((key, owner))
    owner, key = owner[order], key[order]
    begins = np.flatnonzero(np.r_[True, (owner[1:] != owner[:-1]) | (key[1:] != key[:-1])])
    sizes = np.diff(np.r_[begins, len(order)])
    return _Buckets(members[order], sizes).keep(sizes > 1)


def _by_first_appearance(labels: Integer) -> Integer:
    """The same partition, numbered from 0 in the order in which its parts first appear."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    number = np.empty(len(first), dtype=np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    return number[inverse]
