"""Statistics of rankings under row weights: rows are sorted once, and every resample only adds up its weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from stage1_core.metrics.resampling_weights import Counts
from stage1_core.predictions import Boolean, Float, Integer


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """``n`` rows from the highest score down, with marked rows first among equals; rows of one score are a block."""

    order: Integer
    """``(n,)`` row at each rank."""
    marked: Boolean
    """``(n,)`` by rank."""
    ends: Integer
    """``(blocks,)`` ranks at which blocks end."""
    stretches: Integer
    """``(3, k)`` ranks at which stretches start, at which their marked rows end, and at which they end.

    A stretch is a block with marked rows; neighbouring blocks with nothing but marked rows are one.
    """

    @staticmethod
    def of(score: Float, marked: Boolean | Integer) -> Ranking:
        """Sort ``(n,)`` rows."""
        marked = marked.astype(np.bool_)
        rows = np.concatenate([np.flatnonzero(marked), np.flatnonzero(~marked)])
        order = rows[np.argsort(-score[rows], kind="stable")]
        last_of_block = np.append(np.diff(score[order]) != 0, np.ones(min(len(score), 1), dtype=np.bool_))
        ends = np.flatnonzero(last_of_block) + 1
        starts = np.append(0, ends)[:-1]
        marked_before = np.append(0, np.cumsum(marked[order]))
        blocks = np.stack([starts, starts + marked_before[ends] - marked_before[starts], ends])
        start, middle, end = blocks[:, blocks[1] > blocks[0]]
        pure = middle == end
        apart = ~(pure[1:] & pure[:-1] & (start[1:] == end[:-1]))
        first, last = np.append(True, apart)[: len(end)], np.append(apart, True)[: len(end)]
        return Ranking(order, marked[order], ends, np.stack([start[first], middle[last], end[last]]))

    def same_as(self, other: Ranking) -> bool:
        """Whether every resample gives both the same sums."""
        return (
            np.array_equal(self.order, other.order)
            and np.array_equal(self.marked, other.marked)
            and np.array_equal(self.ends, other.ends)
        )


class RankedWeights:
    """What statistics of a ranking need of ``(b, n)`` weights by rank; each sum is computed when first used."""

    def __init__(self, ranking: Ranking, weights: Float | Counts) -> None:
        self._ranking = ranking
        self._weights = weights
        self._totals = RunningTotals(weights)

    @cached_property
    def total(self) -> Float:
        """``(b,)`` weight of all rows."""
        return self._totals.before(np.array([self._weights.shape[1]]))[:, 0]

    @cached_property
    def marked(self) -> Float:
        """``(b,)`` weight of the marked rows."""
        return self._marked_sums[0]

    @cached_property
    def above(self) -> Float:
        """``(b,)`` sum over marked rows of their weight times the weight ranked above them.

        Equals, the row itself among them, lie half above: a stretch adds its marked weight times the mean of the
        running totals at its two ends.
        """
        return self._marked_sums[1]

    @cached_property
    def _marked_sums(self) -> tuple[Float, Float]:
        starts, middles, ends = self._ranking.stretches
        start, end = self._totals.before(starts), self._totals.before(ends)
        if np.array_equal(middles, ends):  # no score is shared by marked and unmarked rows
            above = np.einsum("ij,ij->i", end, end) - np.einsum("ij,ij->i", start, start)
            return end.sum(axis=1) - start.sum(axis=1), above / 2
        marked = self._totals.before(middles) - start
        return marked.sum(axis=1), np.einsum("ij,ij->i", marked, start + end) / 2

    @cached_property
    def kept(self) -> Float:
        """``(b, blocks)`` weight from the top through each block."""
        return self._totals.before(self._ranking.ends)

    @cached_property
    def kept_marked(self) -> Float:
        """``(b, blocks)`` marked weight from the top through each block."""
        return RunningTotals(self._weights * self._ranking.marked).before(self._ranking.ends)

    @cached_property
    def marked_share(self) -> Float:
        """``(b, blocks)`` share of the weight through each block that is marked; NaN where that weight is 0."""
        with np.errstate(invalid="ignore"):
            return self.kept_marked / self.kept


@dataclass(frozen=True, slots=True, eq=False)
class RankedStatistic:
    """A function of ranked weights. `bootstrap` ranks the weights once for all statistics of one ranking."""

    ranking: Ranking
    of_ranked: Callable[[RankedWeights], Float]
    """To ``(b,)`` values."""

    def __call__(self, weights: Float, /) -> Float:
        """``(b, n)`` weights to ``(b,)`` values."""
        return self.of_ranked(RankedWeights(self.ranking, np.take(weights, self.ranking.order, axis=1)))


class RunningTotals:
    """Weight of the first columns of ``(b, n)`` weights."""

    def __init__(self, weights: Float | Counts) -> None:
        b, n = weights.shape
        if weights.dtype != np.uint8 or weights.max(initial=0) > 255 // 8:
            self._words = np.zeros((b, n + 1))
            np.cumsum(weights, axis=1, dtype=np.float64, out=self._words[:, 1:])
            self._within = None
            return
        padded = np.zeros((b, n // 8 + 1, 8), dtype=np.uint8)
        padded.reshape(b, -1)[:, 1 : n + 1] = weights
        # Eight counts are one little-endian word. The product with 0x0101... adds to each byte all bytes below it;
        # no byte overflows, as no count is above 31. Only the sums of whole words are then left to be accumulated.
        summed = padded.view("<u8")[:, :, 0] * np.uint64(0x0101010101010101)
        words = summed >> np.uint64(56)
        self._words = (np.cumsum(words, axis=1) - words).astype(np.float64)
        self._within = summed.astype("<u8", copy=False).view(np.uint8)

    def before(self, columns: Integer) -> Float:
        """``(b, k)`` weight before each of ``(k,)`` columns, 0 to n."""
        if self._within is None:
            return np.take(self._words, columns, axis=1)
        totals = np.take(self._words, columns >> 3, axis=1)
        totals += np.take(self._within, columns, axis=1)
        return totals
