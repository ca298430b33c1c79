from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.optimize import approx_fprime, minimize
from scipy.special import expit, log_softmax, logsumexp
from scipy.stats import chi2
from sklearn.linear_model import LogisticRegression

from stage1_core.calibration import DirichletCalibrator, DirichletConfig, TemperatureConfig
from stage1_core.errors import CalibrationError, PolicyError
from stage1_core.metrics.proper_scores import nll


def config(*, off_diagonal: float = 0, offset: float = 0, identity: float = 0) -> DirichletConfig:
    return DirichletConfig(off_diagonal_penalty=off_diagonal, offset_penalty=offset, identity_penalty=identity)


def drawn(rng: np.random.Generator, rows: int, *, a: float = 0.5, b: float = 0.8, c: float = 0.4, scale: float = 3):
    """Two-class logits, each row with a constant of its own, and labels with logit a ln p₁ - b ln p₀ + c."""
    margins = rng.normal(0, scale, rows)
    logits = rng.normal(0, 5, (rows, 1)) + np.stack([-margins / 2, margins / 2], axis=1)
    log_p = log_softmax(logits, axis=1)
    return logits, (rng.random(rows) < expit(a * log_p[:, 1] - b * log_p[:, 0] + c)).astype(np.int64)


def drawn_of_three(rng: np.random.Generator, rows: int = 600):
    """Logits of three classes, too sure of themselves and confused with each other, and labels."""
    truth = rng.normal(0, 2, (rows, 3))
    labels = (truth + rng.gumbel(size=truth.shape)).argmax(axis=1)
    return truth @ np.array([[2, 0.3, 0], [0, 1.5, 0.5], [0.4, 0, 3]]) + [0.5, 0, -1], labels


def parameters(fitted: DirichletCalibrator) -> tuple[float, float, float]:
    """a, b, c of two classes."""
    (stay_0, to_0), (to_1, stay_1) = fitted.weights
    return stay_1 - to_0, stay_0 - to_1, fitted.offsets[1] - fitted.offsets[0]


def fitted_nll(fitted: Any, logits: np.ndarray, labels: np.ndarray) -> float:
    return nll(fitted.class_logits(logits), labels)


def design(logits: np.ndarray) -> np.ndarray:
    """``(n, 3)``: what a, b and c multiply."""
    log_p = log_softmax(logits, axis=1)
    return np.stack([log_p[:, 1], -log_p[:, 0], np.ones(len(logits))], axis=1)


def test_calibrated_rows_give_the_identity_within_the_errors_of_the_fisher_information(rng: np.random.Generator):
    distances = []
    for _ in range(60):
        logits, labels = drawn(rng, 3000, a=1, b=1, c=0)
        inputs, probability = design(logits), expit(logits[:, 1] - logits[:, 0])
        information = (inputs.T * (probability * (1 - probability))) @ inputs
        away = np.array(parameters(config().fit(logits, labels))) - [1, 1, 0]
        distances.append(away @ information @ away)
        if len(distances) == 1:
            assert (np.abs(away) <= 3 * np.sqrt(np.linalg.inv(information).diagonal())).all()
    # Squared distances in standard errors have 3 degrees of freedom each: neither too far off nor too near.
    assert chi2.cdf(sum(distances), 3 * len(distances)) == pytest.approx(0.5, abs=0.499)


def test_the_truth_is_found(rng: np.random.Generator):
    assert parameters(config().fit(*drawn(rng, 100_000))) == pytest.approx((0.5, 0.8, 0.4), abs=0.03)


@pytest.mark.parametrize("scale", [0.5, 3, 30])
def test_without_penalties_it_is_logistic_regression_on_log_probabilities(rng: np.random.Generator, scale: float):
    logits, labels = drawn(rng, 2000, a=1.5 / scale, b=2 / scale, scale=scale)
    inputs = design(logits)[:, :2]
    oracle = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(inputs, labels)
    expected = nll(np.stack([np.zeros(2000), oracle.decision_function(inputs)], axis=1), labels)
    assert fitted_nll(config().fit(logits, labels), logits, labels) == pytest.approx(expected, abs=1e-6)


def test_three_classes_without_penalties_are_multinomial_regression_on_log_probabilities(rng: np.random.Generator):
    logits, labels = drawn_of_three(rng)
    log_p = log_softmax(logits, axis=1)
    oracle = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(log_p, labels)
    expected = nll(oracle.decision_function(log_p), labels)
    assert fitted_nll(config().fit(logits, labels), logits, labels) == pytest.approx(expected, abs=1e-6)


def test_the_off_diagonal_penalty_does_nothing_for_two_classes(rng: np.random.Generator):
    logits, labels = drawn(rng, 500)
    free = config(offset=0.1, identity=0.1).fit(logits, labels)
    held = config(off_diagonal=100, offset=0.1, identity=0.1).fit(logits, labels)
    assert fitted_nll(held, logits, labels) == pytest.approx(fitted_nll(free, logits, labels), abs=1e-8)
    assert parameters(held) == pytest.approx(parameters(free), abs=1e-8)
    assert held.weights[0][1] == held.weights[1][0] == 0


def test_the_off_diagonal_penalty_shrinks_the_off_diagonals_of_three_classes(rng: np.random.Generator):
    logits, labels = drawn_of_three(rng)
    sizes, losses = [], []
    for penalty in (0, 1, 10, 1e6):
        fitted = config(off_diagonal=penalty).fit(logits, labels)
        weights = np.array(fitted.weights)
        sizes.append(np.abs(weights - np.diag(weights.diagonal())).max())
        losses.append(fitted_nll(fitted, logits, labels))
    assert (np.diff(sizes) < 0).all()
    assert sizes[-1] < 1e-5
    assert (np.diff(losses) > 1e-4).all()


@pytest.mark.parametrize("three", [False, True])
def test_a_huge_offset_penalty_leaves_no_offset(rng: np.random.Generator, three: bool):
    logits, labels = drawn_of_three(rng) if three else drawn(rng, 500, c=2)
    assert np.ptp(config().fit(logits, labels).offsets) > 0.5
    assert config(offset=1e6).fit(logits, labels).offsets == pytest.approx([0] * (2 + three), abs=1e-5)


@pytest.mark.parametrize("three", [False, True])
def test_a_huge_identity_penalty_leaves_a_diagonal_of_ones(rng: np.random.Generator, three: bool):
    fitted = config(identity=1e6).fit(*drawn_of_three(rng) if three else drawn(rng, 500, c=2))
    assert np.diag(fitted.weights) == pytest.approx([1] * (2 + three), abs=1e-3)
    assert np.ptp(fitted.offsets) > 0.5


def test_two_classes_minimise_the_written_out_three_parameters(rng: np.random.Generator):
    """Also says that the penalty of the offset between two classes is μ c²/4."""
    logits, labels = drawn(rng, 400)
    inputs, sign = design(logits), 2 * labels - 1

    def written_out(abc: np.ndarray) -> float:
        a, b, c = abc
        return (
            np.logaddexp(0, -sign * (inputs @ abc)).mean() + 0.8 * c**2 / 4 + 20 / 400 * ((a - 1) ** 2 + (b - 1) ** 2)
        )

    expected = minimize(written_out, np.ones(3), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-15})
    found = parameters(config(off_diagonal=7, offset=0.8, identity=20).fit(logits, labels))
    assert found == pytest.approx(tuple(expected.x), abs=1e-6)
    assert written_out(np.array(found)) == pytest.approx(expected.fun, abs=1e-13)


def test_three_classes_minimise_the_written_out_objective_of_odir(rng: np.random.Generator):
    logits, labels = drawn_of_three(rng, 150)
    log_p = logits - logsumexp(logits, axis=1, keepdims=True)

    def written_out(flat: np.ndarray) -> float:
        weights, offsets = flat[:9].reshape(3, 3), flat[9:]
        calibrated = log_p @ weights.T + offsets
        loss = (logsumexp(calibrated, axis=1) - calibrated[np.arange(150), labels]).mean()
        off_diagonal = sum(weights[i, j] ** 2 for i in range(3) for j in range(3) if i != j)
        return loss + 0.2 / (3 * 2) * off_diagonal + 0.05 / 3 * (offsets**2).sum()

    expected = minimize(written_out, np.concatenate([np.eye(3).ravel(), np.zeros(3)]), method="BFGS", tol=1e-6)
    found = config(off_diagonal=0.2, offset=0.05).fit(logits, labels)
    flat = np.concatenate([np.ravel(found.weights), found.offsets])
    assert written_out(flat) == pytest.approx(expected.fun, abs=1e-9)
    np.testing.assert_allclose(flat, expected.x, atol=1e-4)


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_gradient_and_curvature_are_those_of_finite_differences(rng: np.random.Generator, classes: int):
    labels = rng.integers(0, classes, 50)
    objective = config(off_diagonal=0.3, offset=0.7, identity=0.2).objective(rng.normal(0, 2, (50, classes)), labels)
    place = rng.normal(size=(classes, classes + 1))

    def value(flat: np.ndarray) -> float:
        return objective.value_and_gradient(flat.reshape(place.shape))[0]

    def gradient(flat: np.ndarray) -> np.ndarray:
        return objective.value_and_gradient(flat.reshape(place.shape))[1].ravel()

    np.testing.assert_allclose(gradient(place.ravel()), approx_fprime(place.ravel(), value), atol=1e-6)
    np.testing.assert_allclose(objective.curvature(place), approx_fprime(place.ravel(), gradient), atol=1e-6)


@given(st.integers(0, 10**6), st.floats(0.5, 1.5), st.floats(0.5, 1.5), st.floats(-1, 1))
def test_on_its_rows_it_is_no_worse_than_temperature_and_platt_scaling(seed: int, a: float, b: float, c: float):
    logits, labels = drawn(np.random.default_rng(seed), 300, a=a, b=b, c=c)
    found = fitted_nll(config().fit(logits, labels), logits, labels)
    assert found <= fitted_nll(TemperatureConfig().fit(logits, labels), logits, labels) + 1e-10
    margins = np.diff(logits, axis=1)
    oracle = LogisticRegression(C=np.inf, tol=1e-10, solver="newton-cholesky").fit(margins, labels)
    platt = np.stack([np.zeros(300), oracle.decision_function(margins)], axis=1)
    assert found <= nll(platt, labels) + 1e-10


def test_a_minimum_that_reorders_gives_way_to_equal_slopes(rng: np.random.Generator):
    logits, labels = drawn(rng, 2000, a=-0.3, b=1.5, c=-1)
    free = LogisticRegression(C=np.inf, tol=1e-10).fit(design(logits)[:, :2], labels).coef_[0]
    assert free[0] < 0 < free[1]
    fitted = config().fit(logits, labels)
    assert fitted.monotone_fallback
    margins = np.diff(logits, axis=1)
    platt = LogisticRegression(C=np.inf, tol=1e-10).fit(margins, labels)
    slope, offset = platt.coef_.item(), platt.intercept_.item()
    assert parameters(fitted) == pytest.approx((slope, slope, offset), abs=1e-4)


def test_equal_slopes_are_held_by_the_same_penalties(rng: np.random.Generator):
    logits, labels = drawn(rng, 2000, a=-0.3, b=1.5, c=-1)
    fitted = config(offset=1e6, identity=0.01).fit(logits, labels)
    slope, other, offset = parameters(fitted)
    assert fitted.monotone_fallback
    assert offset == pytest.approx(0, abs=1e-5)
    assert slope == pytest.approx(other, rel=1e-12)


def test_a_minimum_that_keeps_the_order_is_no_fallback(rng: np.random.Generator):
    assert not config().fit(*drawn(rng, 2000)).monotone_fallback


def test_logits_that_rank_the_wrong_way_are_refused(rng: np.random.Generator):
    logits, labels = drawn(rng, 500)
    with pytest.raises(CalibrationError, match=r"slope is -0\.\d+: the higher the logit of a class, the less often"):
        DirichletConfig().fit(-logits, labels)


def test_three_classes_in_the_wrong_order_are_put_right(rng: np.random.Generator):
    logits, labels = drawn_of_three(rng)
    right, wrong = (
        config().fit(logits, labels).class_logits(logits),
        config().fit(logits[:, ::-1], labels).class_logits(logits[:, ::-1]),
    )
    assert nll(wrong, labels) == pytest.approx(nll(right, labels), abs=1e-8)


@pytest.mark.parametrize("fit", [DirichletConfig(), config()], ids=["defaults", "no penalties"])
@pytest.mark.parametrize("scale", [1, 300])
def test_separable_rows_give_finite_parameters(fit: DirichletConfig, scale: float):
    margins = scale * np.concatenate([np.linspace(-3, -1, 20), np.linspace(1, 3, 20)])
    logits, labels = np.stack([-margins / 2, margins / 2], axis=1), np.repeat([0, 1], 20)
    fitted = fit.fit(logits, labels)
    a, b, c = parameters(fitted)
    assert 0 < a < 20
    assert a == pytest.approx(b, rel=1e-6)
    assert c == pytest.approx(0, abs=1e-6)
    assert fitted_nll(fitted, logits, labels) < 0.1


def test_many_rows_outweigh_the_belief_in_slopes_of_one(rng: np.random.Generator):
    """Logits may be small, such as cosine similarities: the slopes are then large."""
    few, many = (parameters(DirichletConfig().fit(*drawn(rng, rows, a=10, b=8, scale=0.1))) for rows in (100, 30_000))
    assert few[:2] == pytest.approx((5, 5), abs=4)
    assert many[:2] == pytest.approx((10, 8), rel=0.2)


@pytest.mark.parametrize("margins", [(-1, 2), (100, 300)])
def test_rows_at_two_places_leave_a_parameter_open_and_are_fitted_all_the_same(margins: tuple[float, float]):
    logits = np.repeat([[0, margins[0]], [0, margins[1]]], 10, axis=0)
    labels = np.repeat([0, 1, 0, 1], [7, 3, 2, 8])
    calibrated = config().fit(logits, labels).class_logits(logits)
    assert expit(np.diff(calibrated, axis=1)[::10, 0]) == pytest.approx([0.3, 0.8], abs=1e-6)


@pytest.mark.parametrize("scale", [100, 900])
@pytest.mark.parametrize("classes", [2, 3])
def test_very_confident_logits_give_a_loss_below_chance(rng: np.random.Generator, classes: int, scale: float):
    logits = rng.normal(size=(500, classes))
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    fitted = DirichletConfig().fit(scale * logits, labels)
    assert fitted_nll(fitted, scale * logits, labels) < np.log(classes) - 0.05
    assert np.isfinite(fitted.class_logits(np.array([[-1e4] + [1e4] * (classes - 1)]))).all()


def test_the_order_of_rows_and_a_constant_by_row_do_not_matter(rng: np.random.Generator):
    logits, labels = drawn(rng, 300)
    shuffled = rng.permutation(300)
    other = DirichletConfig().fit(logits[shuffled] + rng.normal(size=(300, 1)), labels[shuffled])
    assert parameters(other) == pytest.approx(parameters(DirichletConfig().fit(logits, labels)), abs=1e-6)


def test_swapped_classes_swap_the_parameters(rng: np.random.Generator):
    logits, labels = drawn(rng, 300)
    a, b, c = parameters(DirichletConfig().fit(logits, labels))
    assert parameters(DirichletConfig().fit(logits[:, ::-1], 1 - labels)) == pytest.approx((b, a, -c), abs=1e-6)


slopes = st.one_of(st.floats(0.01, 20), st.just(1.0))


@given(slopes, slopes, st.floats(-50, 50), st.floats(-50, 50), st.floats(-500, 500), st.floats(1e-3, 500))
def test_a_higher_margin_stays_higher(a: float, b: float, c: float, shift: float, margin: float, more: float):
    weights = ((b + shift, shift), (shift, a + shift))
    logits = np.array([[0, margin], [0, margin + more]])
    lower, higher = np.diff(DirichletCalibrator(weights=weights, offsets=(0, c)).class_logits(logits), axis=1)[:, 0]
    assert lower < higher


@pytest.mark.parametrize(
    ("weights", "offsets", "message"),
    [
        (((1, 0), (0, -0.1)), (0, 0), "some higher margins become lower"),
        (((1, 0.5), (0, 0.4)), (0, 0), "some higher margins become lower"),
        (((0, 0), (0, 0)), (0, 0), "some higher margins become lower"),
        (((1, 0), (0, 1)), (0, 0, 0), r"rows of \[2, 2\] weights for 3 offsets"),
        (((1, 0, 0), (0, 1, 0)), (0, 0), r"rows of \[3, 3\] weights for 2 offsets"),
        (((1, 0), (1,)), (0, 0), r"rows of \[2, 1\] weights for 2 offsets"),
        (((1,),), (0,), "at least 2 items"),
        (((1, 0), (0, np.nan)), (0, 0), "finite number"),
    ],
)
def test_calibrators_that_reorder_two_classes_or_fit_no_logits_cannot_be_written(weights, offsets, message: str):
    with pytest.raises(ValidationError, match=message):
        DirichletCalibrator(weights=weights, offsets=offsets)


def test_a_slope_of_0_on_one_side_keeps_the_order():
    calibrator = DirichletCalibrator(weights=((1, 0), (0, 0)), offsets=(0, 0))
    assert (np.diff(np.diff(calibrator.class_logits(np.array([[0, -9], [0, 0], [0, 9.0]])), axis=1)[:, 0]) > 0).all()


@pytest.mark.parametrize("three", [False, True])
def test_the_written_calibrator_is_the_linear_map_of_its_numbers(rng: np.random.Generator, three: bool):
    logits, labels = drawn_of_three(rng) if three else drawn(rng, 300)
    fitted = DirichletConfig().fit(logits.astype(np.float32), labels)
    read = DirichletCalibrator.model_validate_json(fitted.to_json())
    assert read == fitted
    expected = np.array(fitted.weights) @ log_softmax(logits[0]) + fitted.offsets
    np.testing.assert_allclose(read.class_logits(logits)[0], expected, atol=1e-9)


def test_rows_that_fit_nothing_are_refused():
    with pytest.raises(CalibrationError, match="none of the 3 rows is of class 1; give rows of every class"):
        DirichletConfig().fit(np.array([[0, 1], [1, 0], [2, 0.0]]), np.zeros(3, dtype=np.int64))
    with pytest.raises(PolicyError, match="1 logits are not finite"):
        DirichletConfig().fit(np.array([[0, np.inf], [1, 0]]), np.array([0, 1]))
