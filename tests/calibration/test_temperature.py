from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.calibration import _TemperatureScaling

from stage1_core.calibration import DirichletConfig, TemperatureCalibrator, TemperatureConfig
from stage1_core.errors import CalibrationError, PolicyError
from stage1_core.metrics.proper_scores import nll


def drawn(rng: np.random.Generator, rows: int, *, temperature: float, classes: int = 2):
    """Class logits, and labels that they draw at the given temperature."""
    logits = rng.normal(0, 2, (rows, classes))
    return logits, (logits / temperature + rng.gumbel(size=logits.shape)).argmax(axis=1)


@given(st.integers(0, 10**6), st.integers(100, 1000), st.integers(2, 5), st.floats(0.3, 3))
def test_the_temperature_is_that_of_scikit_learn(seed: int, rows: int, classes: int, temperature: float):
    logits, labels = drawn(np.random.default_rng(seed), rows, temperature=temperature, classes=classes)
    expected = 1 / float(_TemperatureScaling().fit(logits, labels).beta_)
    assert TemperatureConfig().fit(logits, labels).temperature == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("temperature", [0.3, 1, 5])
def test_the_truth_is_found(rng: np.random.Generator, temperature: float):
    fitted = TemperatureConfig().fit(*drawn(rng, 50_000, temperature=temperature, classes=3))
    assert fitted.temperature == pytest.approx(temperature, rel=0.05)


def test_calibrated_logits_are_the_logits_divided_by_the_temperature(rng: np.random.Generator):
    logits = rng.normal(size=(5, 3)).astype(np.float32)
    calibrated = TemperatureCalibrator(temperature=4).class_logits(logits)
    assert calibrated.dtype == np.float64
    np.testing.assert_array_equal(calibrated, logits.astype(np.float64) / 4)


@pytest.mark.parametrize("scale", [1, 500])
def test_separable_rows_give_the_lowest_temperature_of_the_range(scale: float):
    margins = scale * np.concatenate([np.linspace(-3, -1, 20), np.linspace(1, 3, 20)])
    logits = np.stack([np.zeros(40), margins], axis=1)
    assert TemperatureConfig().fit(logits, np.repeat([0, 1], 20)).temperature == 0.01


def test_a_ranking_that_is_all_but_worthless_gives_the_highest_temperature_of_the_range():
    logits = np.array([[0.0, 1000.0], [0.0, -1000.0]] * 2 + [[0.0, 0.01]])
    assert TemperatureConfig().fit(logits, np.array([0, 0, 1, 1, 1])).temperature == 10_000


def test_very_confident_logits_give_a_finite_temperature_and_loss(rng: np.random.Generator):
    logits, labels = drawn(rng, 500, temperature=2)
    fitted = TemperatureConfig().fit(300 * logits, labels)
    assert fitted.temperature == pytest.approx(300 * TemperatureConfig().fit(logits, labels).temperature)
    assert nll(fitted.class_logits(300 * logits), labels) < np.log(2)


def test_logits_that_rank_the_wrong_way_are_refused(rng: np.random.Generator):
    logits, labels = drawn(rng, 500, temperature=1)
    with pytest.raises(CalibrationError, match="so no temperature beats chance: the model ranks the wrong way, or"):
        TemperatureConfig().fit(-logits, labels)


def test_a_rare_class_that_is_favoured_is_mended_by_dirichlet_calibration_only(rng: np.random.Generator):
    logits, labels = drawn(rng, 2000, temperature=1)
    favoured = logits + np.array([4, 0])
    kept = (labels == 1) | (rng.random(2000) < 0.1)
    with pytest.raises(CalibrationError, match="Dirichlet calibration mends the latter"):
        TemperatureConfig().fit(favoured[kept], labels[kept])
    mended = DirichletConfig().fit(favoured[kept], labels[kept]).class_logits(favoured[kept])
    shares = np.bincount(labels[kept]) / np.count_nonzero(kept)
    assert nll(mended, labels[kept]) < -(shares * np.log(shares)).sum() - 0.1


@pytest.mark.parametrize(
    ("logits", "labels", "error", "message"),
    [
        (np.zeros((0, 2)), [], PolicyError, "no row to fit"),
        (np.array([[0, np.nan], [1, 0]]), [0, 1], PolicyError, "1 logits are not finite"),
        (np.array([[0.0, 1.0], [1.0, 0.0]]), [0, 2], PolicyError, r"from 0 to 1, found \[0, 2\]"),
        (np.array([[0.0, 1.0], [1.0, 0.0]]), [0, -1], PolicyError, r"from 0 to 1, found \[-1, 0\]"),
        (np.array([[0.0, 1.0], [1.0, 0.0]]), [0], PolicyError, r"shape \(2, 2\) for labels of shape \(1,\)"),
        (np.array([0.0, 1.0]), [0, 1], PolicyError, r"shape \(2,\) for labels of shape \(2,\)"),
        (np.array([[0.0], [1.0]]), [0, 0], PolicyError, "k above 1"),
        (np.array([[0.0, 1, 2], [1.0, 0, 3]]), [0, 2], CalibrationError, "none of the 2 rows is of class 1"),
        (np.array([[0.0, 1.0], [1.0, 2.0]]), [0, 1], CalibrationError, "the same in all 2 rows, so they rank nothing"),
    ],
)
def test_rows_that_fit_nothing_are_refused(logits, labels, error: type[PolicyError], message: str):
    with pytest.raises(error, match=message):
        TemperatureConfig().fit(logits, np.array(labels, dtype=np.int64))


def test_the_written_calibrator_gives_the_same_probabilities(rng: np.random.Generator):
    logits, labels = drawn(rng, 300, temperature=2)
    fitted = TemperatureConfig().fit(logits, labels)
    read = TemperatureCalibrator.model_validate_json(fitted.to_json())
    np.testing.assert_array_equal(read.class_logits(logits), fitted.class_logits(logits))


@given(st.floats(0.01, 100), st.floats(-300, 300), st.floats(1e-3, 300))
def test_a_higher_margin_stays_higher(temperature: float, margin: float, more: float):
    logits = np.array([[0, margin], [0, margin + more]])
    lower, higher = np.diff(TemperatureCalibrator(temperature=temperature).class_logits(logits), axis=1)[:, 0]
    assert lower < higher
    assert expit(lower) <= expit(higher)
