from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import brier_score_loss, log_loss

from stage1_core.metrics.proper_scores import brier, nll


def test_the_nll_is_sklearns_log_loss_for_moderate_logits(rng: np.random.Generator):
    logits, labels = rng.normal(size=(500, 2)), rng.integers(0, 2, 500)
    assert nll(logits, labels) == pytest.approx(log_loss(labels, softmax(logits, axis=1)), rel=1e-12)


def test_a_confident_mistake_counts_in_full():
    assert nll(np.array([[0.0, 800.0]]), np.array([0])) == pytest.approx(800.0)


def test_the_nll_ignores_what_is_added_to_both_logits(rng: np.random.Generator):
    logits, labels = rng.normal(size=(20, 2)), rng.integers(0, 2, 20)
    assert nll(logits + rng.normal(size=(20, 1)), labels) == pytest.approx(nll(logits, labels), rel=1e-12)


def test_the_nll_of_float32_logits_is_computed_in_float64():
    logits = np.array([[0.0, 1e-5]], dtype=np.float32)
    assert nll(logits, np.array([1])) == pytest.approx(np.log(2) - 5e-6, abs=1e-10)


def test_the_brier_score_is_the_binary_form_and_half_of_the_sum_over_classes():
    probability, labels = np.array([0.1, 0.9, 0.8, 0.3]), np.array([0, 1, 1, 0])
    assert brier(probability, labels) == pytest.approx(0.0375)
    assert brier(probability, labels) == pytest.approx(brier_score_loss(labels, probability))
    assert brier_score_loss(labels, probability, scale_by_half=False) == pytest.approx(0.0750)


def test_without_rows_both_are_undefined():
    assert nll(np.zeros((0, 2)), np.zeros(0, dtype=np.int64)) is None
    assert brier(np.zeros(0), np.zeros(0, dtype=np.int64)) is None
