from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr, ndtri
from scipy.stats import skew

from stage1_core.metrics.bca import acceleration, bca_shares

TAILS = np.array([0.025, 0.975])


def left_out_means(values: np.ndarray, blocks: int, rng: np.random.Generator) -> np.ndarray:
    sums = [part.sum() for part in np.array_split(rng.permutation(values), blocks)]
    return (values.sum() - np.array(sums)) / (len(values) - len(values) // blocks)


def test_without_bias_and_acceleration_the_tails_stay():
    draws = np.arange(-500, 501) / 100
    np.testing.assert_allclose(bca_shares(0.0, draws, 0.0, TAILS), TAILS, rtol=1e-12)


def test_the_shares_are_those_of_efron():
    draws = np.arange(1000.0)
    bias, a = ndtri(0.6), 0.05
    expected = ndtr(bias + (bias + ndtri(TAILS)) / (1 - a * (bias + ndtri(TAILS))))
    np.testing.assert_allclose(bca_shares(599.5, draws, a, TAILS), expected, rtol=1e-12)


def test_draws_equal_to_the_value_count_half_as_below():
    np.testing.assert_allclose(bca_shares(1.0, np.array([0.0, 1.0, 1.0, 2.0]), 0.0, TAILS), TAILS, rtol=1e-12)


@pytest.mark.parametrize("value", [-1.0, 10.0])
def test_it_is_undefined_when_all_draws_lie_on_one_side(value: float):
    assert bca_shares(value, np.arange(10.0), 0.0, TAILS) is None


def test_it_is_undefined_when_a_tail_lies_beyond_the_pole():
    assert bca_shares(5.0, np.arange(11.0), 0.6, TAILS) is None


@pytest.mark.parametrize("unusable", [np.full(20, 0.25), np.append(np.arange(19.0), np.nan)], ids=["constant", "NaN"])
def test_there_is_no_acceleration_without_spread_or_with_an_undefined_block(unusable: np.ndarray):
    assert acceleration(unusable, np.zeros(20)) is None


def test_leaving_out_single_rows_gives_the_acceleration_of_a_mean_in_closed_form():
    values = np.random.default_rng(1).exponential(size=300)
    expected = skew(values) / (6 * np.sqrt(300))
    assert acceleration(left_out_means(values, 300, np.random.default_rng(2)), np.zeros(300)) == pytest.approx(expected)


def test_random_blocks_keep_the_acceleration_in_expectation():
    rng = np.random.default_rng(3)
    values = rng.exponential(size=2000)
    blocks = 100
    found = [acceleration(left_out_means(values, blocks, rng), np.zeros(blocks)) for _ in range(2000)]
    expected = skew(values) / (6 * np.sqrt(2000))
    error = np.std(found) / np.sqrt(len(found))
    assert np.std(found) == pytest.approx(0.4 / blocks, rel=0.2)
    assert np.mean(found) == pytest.approx(expected * (1 - 1.5 / blocks), abs=4 * error)
    assert expected > 20 * error  # so that a wrong power of the block size would show


def test_a_shift_between_strata_is_no_skewness():
    left_out = np.concatenate([np.tile([-1.0, 1.0], 20), 50 + np.tile([-1.0, 1.0], 5)])
    assert acceleration(left_out, np.repeat([0, 1], [40, 10])) == pytest.approx(0.0, abs=1e-12)
