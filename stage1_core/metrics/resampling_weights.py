"""How often each cluster of rows is drawn into a bootstrap resample, and which clusters a jackknife leaves out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from stage1_core.predictions import Float, Integer, Text

Counts = NDArray[np.uint8]
"""Times that something is drawn. Among n equal chances the probability of 256 draws of one is below 1 / 256!."""

CACHE_BYTES = 1 << 20
"""Size of the largest array that is worked on at once, about what a core keeps close."""


@dataclass(frozen=True, slots=True, eq=False)
class Strata:
    """Units that are drawn, by the stratum that they are drawn from."""

    members: tuple[Integer, ...]
    """The units of each stratum, ascending; all together are 0 to the number of units - 1."""
    membership: NDArray[np.float32]
    """``(units, strata)`` 1 where the unit is in the stratum. Single precision counts exactly what fits a cache."""

    @staticmethod
    def of(stratum: Integer) -> Strata:
        """From the ``(units,)`` stratum of each unit, numbered from 0 without gaps."""
        belongs = stratum[:, None] == np.arange(stratum.max() + 1)
        return Strata(tuple(map(np.flatnonzero, belongs.T)), belongs.astype(np.float32))

    def __len__(self) -> int:
        return len(self.members)


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """What is drawn: whole clusters of rows, as many of each stratum as the sample has."""

    of_row: Integer
    """``(n,)`` number of the cluster of each row."""
    strata: Strata
    """Of the clusters."""

    @staticmethod
    def of(strata: Integer, names: Text, order: Integer) -> Clusters:
        """Clusters of ``(n,)`` rows by name, numbered as they first appear when rows are read in ``order``.

        The stratum of a cluster is the set of its rows' strata: with classes for strata, clusters of negatives, of
        positives and of both are three. A stratum keeps its number of rows where clusters are of one size, and keeps it
        on average where they are not.
        """
        numbers = dict.fromkeys(names.tolist(), 0)
        of_row = np.empty(len(names), dtype=np.int64)
        if len(numbers) == len(names):  # each row is its own cluster, the common case
            of_row[order] = np.arange(len(names))
        else:
            named = names[order].tolist()
            numbers = {name: number for number, name in enumerate(dict.fromkeys(named))}
            of_row[order] = [numbers[name] for name in named]
        mixture = np.zeros(len(numbers), dtype=np.int64)
        for stratum in np.unique(strata):
            mixture *= 2
            mixture[of_row[strata == stratum]] |= 1
            mixture = (np.cumsum(np.bincount(mixture) > 0) - 1)[mixture]  # numbered anew, without gaps
        return Clusters(of_row, Strata.of(mixture))

    def __len__(self) -> int:
        return len(self.strata.membership)

    def draw(self, generator: np.random.Generator, resamples: int) -> Counts:
        """``(resamples, clusters)`` times that each cluster is drawn, independent between resamples."""
        largest = max(map(len, self.strata.members))
        return multinomial_counts(generator, self.strata, resamples, max(0.0, 1 - 3 / np.sqrt(largest)))

    def blocks(self, generator: np.random.Generator, most: int) -> Blocks:
        """About ``most`` random blocks of clusters, equally many in each stratum, none across strata.

        Where a stratum has fewer clusters than its share of blocks, each is a block. A stratum of one cluster never
        varies and has none.
        """
        of_cluster = np.full(len(self), -1, dtype=np.int32)
        strata: list[int] = []
        for number, members in enumerate(self.strata.members):
            here = min(len(members), max(2, most // len(self.strata)))
            if here >= 2:
                of_cluster[generator.permutation(members)] = len(strata) + np.arange(len(members)) % here
                strata += here * [number]
        return Blocks(of_cluster, np.array(strata, dtype=np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """Disjoint sets of clusters that a jackknife leaves out in turn."""

    of_cluster: NDArray[np.int32]
    """Block of each cluster, -1 where it is in none."""
    strata: Integer
    """Stratum of each block."""

    def left_out(self, at_once: int) -> Iterator[Counts]:
        """``(at_once, clusters)`` weights, one row for each block: 0 in the block and 1 elsewhere."""
        numbers = np.arange(len(self.strata), dtype=np.int32)[:, None]
        for first in range(0, len(numbers), at_once):
            yield (self.of_cluster != numbers[first : first + at_once]).view(np.uint8)


def sums_over_units(counts: Counts, columns: NDArray[np.floating[Any]]) -> Float:
    """``(resamples, k)`` sums of ``(units, k)`` columns, each unit as often as it is counted.

    Products of some units at a time have the precision of the columns and are added up in double precision.
    """
    sums = np.zeros((len(counts), columns.shape[1]))
    tile = max(1, CACHE_BYTES // columns.itemsize // len(counts))
    for first in range(0, len(columns), tile):
        units = slice(first, first + tile)
        sums += counts[:, units].astype(columns.dtype) @ columns[units]
    return sums


def multinomial_counts(generator: np.random.Generator, strata: Strata, resamples: int, rate: float) -> Counts:
    """``(resamples, units)`` counts: within each stratum of S units, S draws with equal chances.

    The law is exactly multinomial for every ``rate`` in [0, 1), which decides only the time. Units first get
    independent Poisson(rate) counts. Given their total T in a stratum, these are multinomial with T draws, whatever T
    is; S - T further draws, one after the other, make them multinomial with S draws. Where T exceeds S the stratum
    begins again from no counts, which looks at T alone and so leaves the law as it is. A rate of 1 - 3 / sqrt(S) leaves
    3 sqrt(S) single draws and exceeds S about once in a thousand resamples.
    """
    units = len(strata.membership)
    counts = poisson_counts(generator, resamples * units, rate).reshape(resamples, units)
    totals = sums_over_units(counts, strata.membership).astype(np.int64)
    flat = counts.reshape(-1)
    for members, total in zip(strata.members, totals.T, strict=True):
        size = len(members)
        again = total > size
        counts[np.ix_(np.flatnonzero(again), members)] = 0
        missing = np.where(again, size, size - total)
        row = np.repeat(np.arange(resamples), missing)
        drawn = members[generator.integers(0, size, len(row))]
        np.add.at(flat, row * units + drawn, np.ones(len(row), dtype=np.uint8))  # a scalar 1 takes 20 times as long
    return counts


def poisson_counts(generator: np.random.Generator, size: int, rate: float) -> Counts:
    """``(size,)`` independent Poisson counts with a mean of at most 1, from one random byte each.

    Of the 256 values of a byte, floor(256 P(k)) stand for the count k. The few left over, at the top, stand for what
    these miss of the law and are refined with a further random double, to whose resolution the law is exact.
    """
    if rate == 0:
        return np.zeros(size, dtype=np.uint8)
    k = np.arange(32)
    expected = 256 * np.exp(k * np.log(rate) - rate - gammaln(k + 1))
    ends = np.cumsum(np.floor(expected)).astype(np.uint8)
    missed = np.cumsum(expected - np.floor(expected))
    first_end, *more_ends = np.unique(ends[ends < ends[-1]])
    counts = np.empty(size, dtype=np.uint8)
    tile = CACHE_BYTES // 4  # there are four such arrays
    buffer = np.empty(tile, dtype=np.bool_)
    for first in range(0, size, tile):
        count = counts[first : first + tile]
        reached = buffer[: len(count)]
        eights = generator.integers(0, 1 << 64, size=len(count) // 8 + 1, dtype=np.uint64)
        words = eights.astype("<u8", copy=False).view(np.uint8)[: len(count)]
        np.greater_equal(words, first_end, out=count.view(np.bool_))
        for end in more_ends:
            np.greater_equal(words, end, out=reached)
            count += reached.view(np.uint8)
        left_over = np.flatnonzero(np.greater_equal(words, ends[-1], out=reached))
        refined = generator.random(len(left_over)) * missed[-1]
        count[left_over] = np.searchsorted(missed[:-1], refined, side="right")
    return counts
