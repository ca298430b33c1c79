from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax

from stage1_core.predictions import Scores
from stage1_core.training.evaluation import epoch_metrics


def historical_exits(probability, labels, threshold):
    """Coverage and accuracy of exits as the historical trainer counted them."""
    exits = (probability >= threshold) | (probability <= 1 - threshold)
    right = (probability > 0.5) == (labels == 1)
    return exits.mean(), right[exits].mean()


def scores_of(logits):
    return Scores(np.array([str(index) for index in range(len(logits))]), logits)


def test_exits_at_the_logging_threshold_are_counted_as_historically(rng):
    logits, labels = rng.normal(scale=2, size=(500, 2)), rng.integers(0, 2, 500)
    metrics = epoch_metrics(scores_of(logits), labels, 0.88)
    coverage, accuracy = historical_exits(softmax(logits, axis=1)[:, 1], labels, 0.88)
    assert metrics.exit_coverage.rate == pytest.approx(coverage)
    assert metrics.exit_error.rate == pytest.approx(1 - accuracy)
    assert metrics.accuracy == pytest.approx((logits.argmax(axis=1) == labels).mean())


def test_missed_positives_are_counted_among_exited_positives():
    logits = np.array([[5.0, 0], [0, 5.0], [0.1, 0], [5.0, 0]])
    metrics = epoch_metrics(scores_of(logits), np.array([1, 1, 1, 0]), 0.88)
    assert (metrics.exited, metrics.exited_positives, metrics.missed) == (3, 2, 1)
    assert metrics.fnr_on_exited.rate == 0.5


def test_a_gate_ranks_the_same_failures_that_the_confidence_ranks(rng):
    logits, labels = rng.normal(size=(300, 2)), rng.integers(0, 2, 300)
    by_confidence = replace(scores_of(logits), gate_logits=np.abs(logits[:, 1] - logits[:, 0]))
    metrics = epoch_metrics(by_confidence, labels, 0.88)
    assert metrics.augrc_gate == pytest.approx(metrics.augrc)
    assert metrics.gate.failures == round(300 * (1 - metrics.accuracy))
    assert epoch_metrics(scores_of(logits), labels, 0.88).gate is None


def test_risk_and_coverage_are_read_off_the_same_curve(rng):
    logits, labels = rng.normal(scale=2, size=(400, 2)), rng.integers(0, 2, 400)
    metrics = epoch_metrics(scores_of(logits), labels, 0.88)
    margin = np.abs(logits[:, 1] - logits[:, 0])
    surest = np.argsort(-margin)[:200]
    assert metrics.risk_at_coverage["0.5"] == pytest.approx((logits.argmax(1) != labels)[surest].mean())
    assert list(metrics.coverage_at_risk) == ["0.01", "0.02", "0.05", "0.1"]


def test_rates_without_exits_are_undefined():
    metrics = epoch_metrics(scores_of(np.zeros((3, 2))), np.array([0, 1, 1]), 0.88)
    assert metrics.exited == 0
    assert metrics.fnr_on_exited.rate is None
    assert metrics.exit_error.rate is None
