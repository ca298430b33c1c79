from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional.classification import binary_calibration_error

from stage1_core.errors import Stage1Error
from stage1_core.metrics.calibration_error import bin_of, classwise_ece, ece


@pytest.mark.parametrize("n_bins", [10, 15])
def test_away_from_bin_edges_it_is_that_of_torchmetrics(rng: np.random.Generator, n_bins: int):
    confidence = rng.uniform(0.5, 1, 3000)
    correct = rng.random(3000) < confidence**2
    expected = binary_calibration_error(torch.from_numpy(confidence), torch.from_numpy(correct).long(), n_bins=n_bins)
    assert ece(confidence, correct, n_bins) == pytest.approx(float(expected), abs=1e-12)


probabilities = st.one_of(st.floats(0, 1), st.sampled_from([i / 10 for i in range(11)]), st.just(0.1 + 0.2))
labelled_probabilities = st.lists(st.tuples(probabilities, st.integers(0, 1)), min_size=1, max_size=40).map(
    lambda rows: (np.array([p for p, _ in rows]), np.array([y for _, y in rows], dtype=np.int64))
)


def by_loop(probability: np.ndarray, happened: np.ndarray, n_bins: int) -> float:
    edges = np.linspace(0, 1, n_bins + 1)
    total = 0.0
    for i in range(n_bins):
        inside = [j for j, p in enumerate(probability) if edges[i] < p <= edges[i + 1] or (i == 0 and p == 0)]
        gap = sum(float(probability[j]) - float(happened[j]) for j in inside)
        total += abs(gap) / len(probability)
    return total


@given(labelled_probabilities, st.integers(1, 20))
def test_it_is_what_a_loop_over_bins_and_rows_gives(rows, n_bins: int):
    probability, happened = rows
    assert ece(probability, happened, n_bins) == pytest.approx(by_loop(probability, happened, n_bins), abs=1e-12)


@given(labelled_probabilities, st.integers(1, 20))
def test_classwise_it_is_the_mean_of_a_loop_for_each_class(rows, n_bins: int):
    probability, labels = rows
    of_0 = by_loop(1 - probability, 1 - labels, n_bins)
    expected = (of_0 + by_loop(probability, labels, n_bins)) / 2
    assert classwise_ece(probability, labels, n_bins) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("n_bins", [10, 15])
def test_classwise_away_from_bin_edges_it_is_the_binary_error_of_torchmetrics(rng: np.random.Generator, n_bins: int):
    probability = rng.uniform(size=3000)
    labels = (rng.random(3000) < probability**2).astype(np.int64)
    expected = binary_calibration_error(torch.from_numpy(probability), torch.from_numpy(labels), n_bins=n_bins)
    assert classwise_ece(probability, labels, n_bins) == pytest.approx(float(expected), abs=1e-12)


@given(labelled_probabilities)
def test_classwise_one_column_says_as_much_as_two(rows):
    probability, labels = rows
    both = np.stack([1 - probability, probability], axis=1)
    assert classwise_ece(both, labels) == classwise_ece(probability, labels)


def test_classwise_it_sees_an_error_that_the_likelier_class_hides():
    probability, labels = np.array([0.9, 0.9, 0.1, 0.1]), np.array([1, 1, 0, 1])
    likelier = np.maximum(probability, 1 - probability)
    # of 4 rows called with .9, 3 are right; but of the two with P(roadwork) = .1, one is roadwork
    assert ece(likelier, (probability >= 0.5) == labels) == pytest.approx(0.15)
    assert classwise_ece(probability, labels) == pytest.approx((0.1 + 0.4) / 2)


def test_probabilities_of_another_shape_are_refused():
    with pytest.raises(Stage1Error, match=r"shape \(3, 3\) for 3 labels"):
        classwise_ece(np.zeros((3, 3)), np.zeros(3, dtype=np.int64))


def test_bins_are_right_closed():
    assert bin_of(np.array([0.0, 0.1, np.nextafter(0.1, 1), 0.5, 1.0]), 10).tolist() == [0, 0, 1, 4, 9]


def test_a_confidence_on_an_edge_falls_into_the_lower_bin():
    probability, labels = np.array([0.9, 0.95, 0.15, 1.0]), np.array([0, 1, 0, 1])
    confidence = np.maximum(probability, 1 - probability)
    correct = (probability >= 0.5) == labels
    assert ece(confidence, correct) == pytest.approx(0.20, abs=1e-12)
    left_closed = binary_calibration_error(torch.from_numpy(confidence), torch.from_numpy(correct).long(), n_bins=10)
    assert float(left_closed) == pytest.approx(0.25, abs=1e-12)


def test_confidences_of_0_and_1_fall_into_the_outer_bins():
    assert ece(np.array([0.0, 1.0]), np.array([False, True])) == 0
    assert ece(np.array([0.0, 1.0]), np.array([True, False])) == 1


def test_a_confidence_of_one_half_that_is_right_half_the_time_is_calibrated():
    assert ece(np.full(10, 0.5), np.tile([0, 1], 5)) == 0


def test_without_rows_it_is_undefined():
    assert ece(np.zeros(0), np.zeros(0, dtype=np.bool_)) is None
    assert classwise_ece(np.zeros(0), np.zeros(0, dtype=np.int64)) is None
