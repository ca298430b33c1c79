from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm, t

from stage1_core.metrics.simultaneous import critical_value, reach

DRAWS = 200_000


def test_one_normal_number_needs_the_normal_quantile(rng):
    draws = rng.normal(5, 3, (DRAWS, 1))
    assert critical_value(np.array([5.0]), draws, 0.95) == pytest.approx(norm.ppf(0.95), abs=0.02)


def test_independent_numbers_need_the_quantile_of_their_maximum(rng):
    draws = rng.normal(size=(DRAWS, 10)) * np.arange(1, 11)
    assert critical_value(np.zeros(10), draws, 0.95) == pytest.approx(norm.ppf(0.95 ** (1 / 10)), abs=0.03)


def test_numbers_that_move_together_need_no_more_than_one(rng):
    draws = np.repeat(rng.normal(size=(DRAWS, 1)), 10, axis=1)
    assert critical_value(np.zeros(10), draws, 0.95) == pytest.approx(norm.ppf(0.95), abs=0.02)


def test_of_skewed_draws_the_longer_tail_serves_both_sides(rng):
    draws = rng.exponential(size=(DRAWS, 1)) - 1
    expected = pytest.approx(-np.log(0.05) - 1, abs=0.05)
    assert critical_value(np.zeros(1), draws, 0.95) == expected
    assert critical_value(np.zeros(1), -draws, 0.95) == expected


def test_numbers_that_never_vary_or_are_undefined_take_no_part(rng):
    draws = rng.normal(size=(1000, 3))
    draws[:, 1], draws[7, 2] = 4.0, np.nan
    values = np.array([0.0, 4.0, 0.0])
    assert critical_value(values, draws, 0.9) == pytest.approx(critical_value(values[:1], draws[:, :1], 0.9))
    assert critical_value(values[1:], draws[:, 1:], 0.9) == 0


def test_without_an_error_of_training_the_reach_is_that_of_the_rows():
    assert reach(2.5, 0.01, 0.0, 1) == 0.025


def test_the_error_of_training_alone_has_the_degrees_of_freedom_of_its_runs():
    assert reach(norm.ppf(0.95), 0.0, 0.01, 3) == pytest.approx(0.01 * t.ppf(0.95, 2))


def test_both_errors_add_up_and_more_runs_need_less():
    both = reach(norm.ppf(0.95), 0.03, 0.04, 3)
    assert both == pytest.approx(0.05 * t.ppf(0.95, 2 * (5 / 4) ** 4))
    assert 0.05 * norm.ppf(0.95) < reach(norm.ppf(0.95), 0.03, 0.04, 10) < both
