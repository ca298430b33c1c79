from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

from stage1_core.calibration import IsotonicCalibrator, IsotonicConfig
from stage1_core.errors import PolicyError

BEYOND = np.linspace(-12, 12, 997)


def drawn(rng: np.random.Generator, rows: int, decimals: int = 12):
    logits = rng.normal(0, 2, rows).round(decimals)
    return logits, (rng.random(rows) < expit(logits)).astype(np.int64)


@given(st.integers(0, 10**6), st.integers(50, 600), st.sampled_from([0, 1, 12]))
def test_the_curve_is_that_of_scikit_learn_also_with_ties(seed: int, rows: int, decimals: int):
    logits, outcome = drawn(np.random.default_rng(seed), rows, decimals)
    expected = IsotonicRegression(out_of_bounds="clip").fit(logits, outcome)
    fitted = IsotonicConfig().fit(logits, outcome)
    np.testing.assert_allclose(fitted.logits, expected.X_thresholds_, atol=1e-12)
    np.testing.assert_allclose(fitted.probability(BEYOND), expected.predict(BEYOND), atol=1e-12)


def test_equal_logits_are_one_row_with_the_mean_of_their_outcomes():
    fitted = IsotonicConfig().fit(np.array([0.0, 0.0, 0.0, 0.0, 5.0]), np.array([0, 1, 0, 0, 1]))
    assert (fitted.logits, fitted.probabilities) == ((0.0, 5.0), (0.25, 1.0))


def test_beyond_the_outermost_knots_the_probability_is_constant(rng: np.random.Generator):
    fitted = IsotonicConfig().fit(*drawn(rng, 300))
    assert fitted.probability(np.array([-1e6, 1e6])).tolist() == [fitted.probabilities[0], fitted.probabilities[-1]]


def test_the_order_of_rows_does_not_matter(rng: np.random.Generator):
    logits, outcome = drawn(rng, 300)
    shuffled = rng.permutation(300)
    assert IsotonicConfig().fit(logits, outcome) == IsotonicConfig().fit(logits[shuffled], outcome[shuffled])


def test_a_written_curve_gives_the_same_probabilities(rng: np.random.Generator):
    fitted = IsotonicConfig().fit(*drawn(rng, 300))
    read = IsotonicCalibrator.model_validate_json(fitted.to_json())
    np.testing.assert_array_equal(read.probability(BEYOND), fitted.probability(BEYOND))


@pytest.mark.parametrize(
    ("logits", "outcome", "message"),
    [
        (np.zeros(0), np.zeros(0, dtype=np.int64), "no row to fit"),
        (np.array([0.0, np.nan]), np.array([0, 1]), "not finite"),
        (np.array([0.0, 1.0]), np.array([0, 0]), "the outcome is 0 in all 2 rows"),
        (np.array([0.0, 1.0]), np.array([1, 1]), "the outcome is 1 in all 2 rows, so the curve is flat; use Platt"),
        (np.array([3.0, 3.0]), np.array([0, 1]), "all 2 logits are 3"),
        (np.array([0.0, 1.0]), np.array([1, 0]), "flat at 0.5: the logits do not rank right above wrong"),
    ],
)
def test_rows_that_fit_nothing_are_refused(logits, outcome, message: str):
    with pytest.raises(PolicyError, match=message):
        IsotonicConfig().fit(logits, outcome)


@pytest.mark.parametrize(
    ("logits", "probabilities", "message"),
    [
        ((0.0, 0.0), (0.1, 0.2), "strictly increasing"),
        ((0.0, 1.0), (0.2, 0.1), "never fall"),
        ((0.0, 1.0), (0.2,), "2 logits for 1 probabilities"),
        ((0.0, 1.0), (0.2, 1.5), "less than or equal to 1"),
        ((), (), "at least 1 item"),
    ],
)
def test_a_curve_that_is_none_is_refused(logits, probabilities, message: str):
    with pytest.raises(ValidationError, match=message):
        IsotonicCalibrator(logits=logits, probabilities=probabilities)
