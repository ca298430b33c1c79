from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_calibration_error

from stage1_core.metrics.calibration_error import ece


@pytest.mark.parametrize("n_bins", [10, 15])
def test_away_from_bin_edges_it_is_that_of_torchmetrics(rng: np.random.Generator, n_bins: int):
    confidence = rng.uniform(0.5, 1, 3000)
    correct = rng.random(3000) < confidence**2
    expected = binary_calibration_error(torch.from_numpy(confidence), torch.from_numpy(correct).long(), n_bins=n_bins)
    assert ece(confidence, correct, n_bins) == pytest.approx(float(expected), abs=1e-12)


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
