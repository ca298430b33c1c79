from __future__ import annotations

from itertools import product
from math import factorial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, chi2, chisquare, poisson

from stage1_core.metrics.resampling_weights import Clusters, Strata, multinomial_counts, poisson_counts

SURPRISING = 1e-4
"""A p-value that one of ten thousand correct generators falls below; the seeds are fixed."""


def names(*values: object) -> np.ndarray:
    return np.array([str(value) for value in values])


class EveryByteOnce:
    """Stands for a generator: words of all 256 bytes equally often, and a fine even grid of doubles."""

    def integers(self, low: int, high: int, size: int, dtype: type) -> np.ndarray:
        return np.resize(np.arange(256, dtype=np.uint8), 8 * size).view(dtype)

    def random(self, size: int) -> np.ndarray:
        return (np.arange(size) + 0.5) / size


@pytest.mark.parametrize("rate", [0.05, 0.5, 0.97, 0.9995])
def test_bytes_stand_for_the_exact_poisson_law(rate: float):
    counts = poisson_counts(EveryByteOnce(), 1 << 17, rate)
    shares = np.bincount(counts, minlength=12) / len(counts)
    np.testing.assert_allclose(shares, poisson.pmf(np.arange(len(shares)), rate), atol=2 / len(counts))


@pytest.mark.parametrize("rate", [0.3, 0.99])
def test_poisson_counts_follow_their_law(rate: float):
    counts = poisson_counts(np.random.default_rng(1), 3_000_000, rate)
    observed = np.bincount(counts, minlength=7)
    observed = np.append(observed[:6], observed[6:].sum())
    expected = np.append(poisson.pmf(np.arange(6), rate), poisson.sf(5, rate)) * len(counts)
    assert chisquare(observed, expected).pvalue > SURPRISING


def test_a_poisson_rate_of_zero_draws_nothing():
    assert not poisson_counts(np.random.default_rng(2), 1000, 0.0).any()


@pytest.mark.parametrize("rate", [0.0, 0.4, 0.95])
def test_counts_of_three_units_follow_the_multinomial_law_whatever_the_rate(rate: float):
    counts = multinomial_counts(np.random.default_rng(3), Strata.of(np.zeros(3)), 200_000, rate)
    outcomes = [outcome for outcome in product(range(4), repeat=3) if sum(outcome) == 3]
    observed = [np.count_nonzero((counts == outcome).all(axis=1)) for outcome in outcomes]
    chances = [6 / np.prod([factorial(k) for k in outcome]) / 27 for outcome in outcomes]
    assert sum(observed) == len(counts)
    assert chisquare(observed, np.array(chances) * len(counts)).pvalue > SURPRISING


def test_a_unit_among_many_is_drawn_binomially_often():
    n = 10_000
    counts = Clusters.of(np.zeros(n, dtype=np.int64), names(*range(n)), np.arange(n)).draw(
        np.random.default_rng(4), 200
    )
    observed = np.bincount(counts.ravel(), minlength=6)
    observed = np.append(observed[:5], observed[5:].sum())
    expected = np.append(binom.pmf(np.arange(5), n, 1 / n), binom.sf(4, n, 1 / n)) * counts.size
    assert chisquare(observed, expected).pvalue > SURPRISING


def test_the_sum_over_half_of_many_units_spreads_like_a_binomial():
    """Independent Poisson counts, or counts that only seem independent, would spread twice as much, or less."""
    n, resamples = 5000, 2000
    clusters = Clusters.of(np.zeros(n, dtype=np.int64), names(*range(n)), np.arange(n))
    half = clusters.draw(np.random.default_rng(5), resamples)[:, ::2].sum(axis=1, dtype=np.int64)
    squares = np.square((half - n / 2) / np.sqrt(n / 4)).sum()
    assert SURPRISING < chi2.cdf(squares, resamples) < 1 - SURPRISING


@given(st.lists(st.integers(0, 3), min_size=1, max_size=200), st.integers(0, 10))
def test_every_stratum_keeps_its_size(strata, seed):
    strata = np.array(strata)
    clusters = Clusters.of(strata, names(*range(len(strata))), np.arange(len(strata)))
    counts = clusters.draw(np.random.default_rng(seed), 20)
    for stratum in range(4):
        assert (counts[:, strata == stratum].sum(axis=1) == np.count_nonzero(strata == stratum)).all()


def test_a_stratum_of_one_never_varies():
    counts = multinomial_counts(np.random.default_rng(6), Strata.of(np.array([0, 1, 1, 1])), 500, 0.9)
    assert (counts[:, 0] == 1).all()


def test_the_same_generator_state_gives_the_same_counts():
    clusters = Clusters.of(np.zeros(300, dtype=np.int64), names(*range(300)), np.arange(300))
    first, again, other = (clusters.draw(np.random.default_rng(seed), 10) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_clusters_are_numbered_in_reading_order():
    clusters = Clusters.of(np.zeros(4, dtype=np.int64), names("a", "b", "a", "c"), np.array([3, 1, 0, 2]))
    assert clusters.of_row.tolist() == [2, 1, 2, 0]
    assert len(clusters) == 3


def test_clusters_that_hold_both_classes_are_a_stratum_of_their_own():
    clusters = Clusters.of(np.array([0, 1, 0, 1, 0, 1]), names("n", "p", "both", "both", "m", "q"), np.arange(6))
    assert sorted(members.tolist() for members in clusters.strata.members) == [[0, 3], [1, 4], [2]]


@pytest.mark.parametrize("most", [4, 30, 1000])
def test_blocks_divide_each_stratum_into_about_equal_parts(most: int):
    strata = np.repeat([0, 1, 2], [100, 50, 1])
    clusters = Clusters.of(strata, names(*range(151)), np.arange(151))
    blocks = clusters.blocks(np.random.default_rng(9), most)
    for number, members in enumerate(clusters.strata.members):
        if len(members) == 1:
            assert blocks.of_cluster[members] == -1  # it never varies
            continue
        found, sizes = np.unique(blocks.of_cluster[members], return_counts=True)
        np.testing.assert_array_equal(found, np.flatnonzero(blocks.strata == number))
        assert len(found) == min(len(members), max(2, most // 3))
        assert np.ptp(sizes) <= 1


def test_each_block_is_left_out_once():
    clusters = Clusters.of(np.repeat([0, 1], 20), names(*range(40)), np.arange(40))
    blocks = clusters.blocks(np.random.default_rng(10), 10)
    weights = np.concatenate(list(blocks.left_out(3)))
    assert weights.shape == (10, 40)
    np.testing.assert_array_equal(weights.sum(axis=0), 9)
    for block, row in enumerate(weights):
        np.testing.assert_array_equal(row == 0, blocks.of_cluster == block)
