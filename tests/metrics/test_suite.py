from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import accuracy_score, roc_auc_score

from stage1_core.metrics.risk import fnr_on_exited
from stage1_core.metrics.suite import ModelQuality, exit_quality, model_quality
from stage1_core.policy.softmax import ThresholdExit
from tests.toys import make_predictions, predictions_of


def test_without_rows_every_number_is_undefined():
    quality = model_quality(predictions_of(np.zeros(0), np.zeros(0)))
    assert (quality.rows, quality.positives) == (0, 0)
    assert all(getattr(quality, name) is None for name in set(ModelQuality.model_fields) - {"rows", "positives"})


@pytest.mark.parametrize("label", [0, 1])
def test_with_one_class_the_numbers_that_need_two_are_undefined(label: int):
    quality = model_quality(predictions_of(np.array([-1.0, 1.0, 2.0]), np.full(3, label)))
    assert (quality.auroc, quality.mcc, quality.balanced_accuracy) == (None, None, None)
    assert quality.majority_accuracy == 1
    assert quality.accuracy == pytest.approx(2 / 3 if label else 1 / 3)


def test_model_numbers_agree_with_sklearn(rng: np.random.Generator):
    rows = make_predictions(rng, 400, separation=0.7)
    quality = model_quality(rows)
    probability = expit(rows.scores.margin_logits)
    assert quality.auroc == pytest.approx(roc_auc_score(rows.labels, probability))
    assert quality.accuracy == pytest.approx(accuracy_score(rows.labels, probability >= 0.5))
    assert quality.rows == 400
    assert quality.positives == np.count_nonzero(rows.labels)


def test_exits_are_counted_with_bounds_that_enclose_the_rate(rng: np.random.Generator):
    rows = make_predictions(rng, 400, separation=0.7)
    decisions = ThresholdExit(exit_threshold=0.9).decide(rows.scores)
    quality = exit_quality(rows, decisions, 0.9)
    expected = fnr_on_exited(decisions, rows.labels)
    assert (quality.fnr_on_exited.events, quality.fnr_on_exited.trials) == (expected.events, expected.trials)
    assert quality.fnr_on_exited.lower_bound < quality.fnr_on_exited.events / quality.fnr_on_exited.trials
    assert quality.coverage.events == np.count_nonzero(decisions.exited)


def test_without_exits_risks_have_no_trials_and_bounds_that_say_nothing(rng: np.random.Generator):
    rows = predictions_of(np.full(5, 0.1), np.ones(5))
    quality = exit_quality(rows, ThresholdExit(exit_threshold=1.0).decide(rows.scores), 0.9)
    assert quality.fnr_on_exited.trials == 0
    assert (quality.fnr_on_exited.lower_bound, quality.fnr_on_exited.upper_bound) == (0, 1)
