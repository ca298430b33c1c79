from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.calibration import _sigmoid_calibration
from sklearn.linear_model import LogisticRegression

from stage1_core.calibration import PlattConfig
from stage1_core.errors import PolicyError


def drawn(rng: np.random.Generator, rows: int, *, slope: float = 0.7, offset: float = 0.5, scale: float = 2.0):
    """Logits, and outcomes that a sigmoid of them draws."""
    logits = rng.normal(1, scale, rows)
    return logits, (rng.random(rows) < expit(slope * logits + offset)).astype(np.int64)


@given(st.integers(0, 10**6), st.integers(60, 1500), st.floats(0.05, 30), st.floats(0.2, 3))
def test_the_parameters_are_those_of_scikit_learn(seed: int, rows: int, scale: float, slope: float):
    logits, outcome = drawn(np.random.default_rng(seed), rows, slope=slope / scale, scale=scale)
    expected_slope, expected_offset = (-float(value) for value in _sigmoid_calibration(logits, outcome))
    if expected_slope <= 0 or outcome.all():
        return
    fitted = PlattConfig().fit(logits, outcome)
    assert fitted.slope == pytest.approx(expected_slope, abs=1e-4)
    assert fitted.offset == pytest.approx(expected_offset, abs=1e-4)


def test_separable_rows_give_finite_parameters():
    logits = np.concatenate([np.linspace(-3, -1, 20), np.linspace(1, 3, 20)])
    fitted = PlattConfig().fit(logits, np.repeat([0, 1], 20))
    assert 1 < fitted.slope < 3
    assert fitted.offset == pytest.approx(0, abs=1e-9)


def test_with_many_rows_smoothing_vanishes(rng: np.random.Generator):
    logits, outcome = drawn(rng, 200_000)
    unpenalised = LogisticRegression(C=np.inf, tol=1e-10).fit(logits[:, None], outcome)
    fitted = PlattConfig().fit(logits, outcome)
    assert fitted.slope == pytest.approx(unpenalised.coef_.item(), abs=1e-4)
    assert fitted.offset == pytest.approx(unpenalised.intercept_.item(), abs=1e-4)


def test_the_truth_is_found(rng: np.random.Generator):
    fitted = PlattConfig().fit(*drawn(rng, 100_000, slope=0.7, offset=0.5))
    assert (fitted.slope, fitted.offset) == pytest.approx((0.7, 0.5), abs=0.03)


def test_the_order_of_rows_does_not_matter(rng: np.random.Generator):
    logits, outcome = drawn(rng, 300)
    shuffled = rng.permutation(300)
    one, other = PlattConfig().fit(logits, outcome), PlattConfig().fit(logits[shuffled], outcome[shuffled])
    assert (one.slope, one.offset) == pytest.approx((other.slope, other.offset), abs=1e-7)


def test_logits_in_other_units_give_the_same_probabilities(rng: np.random.Generator):
    logits, outcome = drawn(rng, 300)
    stretched = 1e4 * logits - 3e5
    expected = PlattConfig().fit(logits, outcome).probability(logits)
    np.testing.assert_allclose(PlattConfig().fit(stretched, outcome).probability(stretched), expected, atol=1e-6)


def test_a_higher_logit_is_never_less_probable(rng: np.random.Generator):
    probability = PlattConfig().fit(*drawn(rng, 300)).probability(np.linspace(-100, 100, 5001))
    assert (np.diff(probability) >= 0).all()
    assert probability.min() >= 0
    assert probability.max() <= 1


def test_without_a_failure_the_slope_stays_1_and_the_mean_is_the_smoothed_share(rng: np.random.Generator):
    logits = rng.normal(2, 3, 98)
    fitted = PlattConfig().fit(logits, np.ones(98, dtype=np.int64))
    assert fitted.slope == 1
    assert fitted.probability(logits).mean() == pytest.approx(99 / 100, abs=1e-9)


def test_one_row_is_enough_only_where_something_can_be_ranked():
    with pytest.raises(PolicyError, match="all 1 logits are 2, so they rank nothing"):
        PlattConfig().fit(np.array([2.0]), np.array([1]))
    fitted = PlattConfig().fit(np.array([-1.0, 1.0]), np.array([0, 1]))
    assert fitted.probability(np.array([-1.0, 1.0])).tolist() == pytest.approx([1 / 3, 2 / 3])


def test_logits_that_rank_the_wrong_way_are_refused(rng: np.random.Generator):
    logits, outcome = drawn(rng, 500)
    with pytest.raises(PolicyError, match="rank right above wrong: the higher they are, the less often") as caught:
        PlattConfig().fit(-logits, outcome)
    assert f"{np.count_nonzero(outcome == 0)} of 500 outcomes are 0" in str(caught.value)


@pytest.mark.parametrize(
    ("logits", "outcome", "message"),
    [
        (np.zeros(0), np.zeros(0, dtype=np.int64), "no row to fit"),
        (np.array([0.0, np.nan]), np.array([0, 1]), "1 logits are not finite"),
        (np.array([0.0, np.inf]), np.array([0, 1]), "1 logits are not finite"),
        (np.array([0.0, 1.0]), np.array([0, 0]), "the outcome is 0 in all 2 rows"),
        (np.array([3.0, 3.0]), np.array([0, 1]), "all 2 logits are 3"),
        (np.array([0.0, 1.0]), np.array([0, 2]), r"must be 0 or 1, found \[0, 2\]"),
        (np.array([0.0, 1.0]), np.array([1]), r"shape \(2,\) for outcomes of shape \(1,\)"),
    ],
)
def test_rows_that_fit_nothing_are_refused(logits, outcome, message: str):
    with pytest.raises(PolicyError, match=message):
        PlattConfig().fit(logits, outcome)


def test_probabilities_are_the_sigmoid_of_the_written_parameters(rng: np.random.Generator):
    logits, outcome = drawn(rng, 300)
    fitted = PlattConfig().fit(logits, outcome)
    read = type(fitted).model_validate_json(fitted.to_json())
    assert read == fitted
    np.testing.assert_allclose(logit(read.probability(logits)), fitted.slope * logits + fitted.offset)
