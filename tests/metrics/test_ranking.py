from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from stage1_core.metrics.ranking import RankedWeights, Ranking, RunningTotals

counts = arrays.arrays(np.uint8, st.tuples(st.integers(1, 3), st.integers(1, 40)), elements=st.integers(0, 40))


@given(counts)
def test_running_totals_of_counts_and_of_floats_are_the_plain_sums(weights):
    columns = np.arange(weights.shape[1] + 1)
    expected = np.stack([weights[:, :column].sum(axis=1, dtype=np.float64) for column in columns], axis=1)
    np.testing.assert_array_equal(RunningTotals(weights).before(columns), expected)
    np.testing.assert_array_equal(RunningTotals(weights.astype(np.float64)).before(columns), expected)


@pytest.mark.parametrize("count", [31, 32, 255])
def test_large_counts_do_not_overflow(count: int):
    totals = RunningTotals(np.full((2, 1000), count, dtype=np.uint8))
    np.testing.assert_array_equal(totals.before(np.array([0, 7, 8, 1000])), count * np.array([[0, 7, 8, 1000]] * 2))


def test_rows_are_ranked_from_the_top_and_equal_rows_form_a_block_with_the_marked_ones_first():
    ranking = Ranking.of(np.array([0.5, 0.9, 0.5, 0.5, 0.1]), np.array([0, 0, 1, 0, 1]))
    assert ranking.order.tolist() == [1, 2, 0, 3, 4]
    assert ranking.marked.tolist() == [False, True, False, False, True]
    assert ranking.ends.tolist() == [1, 4, 5]
    assert ranking.stretches.T.tolist() == [[1, 2, 4], [4, 5, 5]]


def test_neighbouring_blocks_of_marked_rows_are_one_stretch():
    score = np.array([9, 8, 7, 6, 6, 5, 4, 3, 3, 2])
    marked = np.array([0, 1, 1, 1, 0, 1, 1, 1, 1, 0])
    assert Ranking.of(score, marked).stretches.T.tolist() == [[1, 3, 3], [3, 4, 5], [5, 9, 9]]
    assert Ranking.of(score, 0 * marked).stretches.shape == (3, 0)


def test_the_weight_above_marked_rows_counts_equals_half():
    ranking = Ranking.of(np.array([0.9, 0.5, 0.5, 0.1]), np.array([0, 1, 0, 1]))
    ranked = RankedWeights(ranking, np.array([[1.0, 2.0, 3.0, 4.0]]))
    assert ranked.total == 10
    assert ranked.marked == 6
    assert ranked.above == 2 * (1 + (2 + 3) / 2) + 4 * (1 + 5 + 4 / 2)


def test_rankings_are_the_same_when_order_marks_and_ties_are():
    score, marked = np.array([0.5, 0.9, 0.1]), np.array([0, 1, 0])
    ranking = Ranking.of(score, marked)
    assert ranking.same_as(Ranking.of(2 * score, marked == 1))
    assert not ranking.same_as(Ranking.of(-score, marked))
    assert not ranking.same_as(Ranking.of(score, 1 - marked))
    assert not ranking.same_as(Ranking.of(np.array([0.5, 0.9, 0.5]), marked))
