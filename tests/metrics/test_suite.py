from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    matthews_corrcoef,
    roc_auc_score,
)

from stage1_core.metrics.risk import fnr_on_exited
from stage1_core.metrics.risk_coverage import augrc
from stage1_core.metrics.suite import ModelQuality, exit_quality, model_quality, read
from stage1_core.policy.softmax import ThresholdExit
from stage1_core.predictions import Predictions
from tests.toys import make_predictions, predictions_of

AT_LEVELS = {"risk_at_coverage", "coverage_at_risk"}
COUNTS = {"rows", "positives"}


def with_gate(rows: Predictions, gate_logits: np.ndarray) -> Predictions:
    return replace(rows, scores=replace(rows.scores, gate_logits=gate_logits))


def test_without_rows_every_number_is_undefined():
    quality = model_quality(predictions_of(np.zeros(0), np.zeros(0)))
    assert (quality.rows, quality.positives) == (0, 0)
    assert all(getattr(quality, name) is None for name in set(ModelQuality.model_fields) - COUNTS - AT_LEVELS)
    assert set(quality.risk_at_coverage.values()) == set(quality.coverage_at_risk.values()) == {None}


@pytest.mark.parametrize("label", [0, 1])
def test_with_one_class_the_numbers_that_need_two_are_undefined(label: int):
    quality = model_quality(predictions_of(np.array([-1.0, 1.0, 2.0]), np.full(3, label)))
    assert (quality.auroc, quality.mcc, quality.balanced_accuracy) == (None, None, None)
    assert quality.average_precision == (1 if label else None)
    assert quality.majority_accuracy == 1
    assert quality.accuracy == pytest.approx(2 / 3 if label else 1 / 3)
    assert quality.augrc is not None


def test_model_numbers_agree_with_sklearn(rng: np.random.Generator):
    rows = make_predictions(rng, 400, separation=0.7, positive_fraction=0.3)
    quality = model_quality(rows)
    probability = expit(rows.scores.margin_logits)
    called = probability >= 0.5
    assert quality.auroc == pytest.approx(roc_auc_score(rows.labels, probability))
    assert quality.average_precision == pytest.approx(average_precision_score(rows.labels, probability))
    assert quality.accuracy == pytest.approx(accuracy_score(rows.labels, called))
    assert quality.balanced_accuracy == pytest.approx(balanced_accuracy_score(rows.labels, called))
    assert quality.mcc == pytest.approx(matthews_corrcoef(rows.labels, called))
    assert quality.rows == 400
    assert quality.positives == np.count_nonzero(rows.labels)


def test_risks_and_coverages_are_told_at_the_levels_that_are_reported(rng: np.random.Generator):
    quality = model_quality(make_predictions(rng, 100))
    assert list(quality.risk_at_coverage) == ["0.5", "0.6", "0.7", "0.8", "0.9"]
    assert list(quality.coverage_at_risk) == ["0.01", "0.02", "0.05", "0.1"]


def test_ten_rows_with_one_mistake_at_the_low_end():
    margins = np.array([9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.5])
    quality = model_quality(predictions_of(margins, np.array([1] * 9 + [0])))
    assert quality.risk_at_coverage == {"0.5": 0, "0.6": 0, "0.7": 0, "0.8": 0, "0.9": 0}
    assert quality.coverage_at_risk == {"0.01": 0.9, "0.02": 0.9, "0.05": 0.9, "0.1": 1.0}
    assert quality.augrc == pytest.approx(0.1**2 / 2)
    assert quality.aurc == pytest.approx(0.1 * 0.1 / 2)


def test_the_gate_ranks_the_failures_of_the_class_decision(rng: np.random.Generator):
    rows = make_predictions(rng, 300, separation=0.7)
    failure = (rows.scores.margin_logits >= 0) != (rows.labels == 1)
    gate = rng.normal(size=300) - 2 * failure
    quality = model_quality(with_gate(rows, gate))
    assert quality.augrc_gate == augrc(gate, failure)
    assert quality.augrc == model_quality(rows).augrc
    assert model_quality(rows).augrc_gate is None


def test_a_tie_of_the_classes_is_a_call_of_roadwork_with_confidence_one_half():
    seen = read(predictions_of(np.zeros(2), np.array([0, 1])))
    assert seen.predicted.tolist() == [1, 1]
    assert seen.correct.tolist() == [False, True]
    assert seen.confidence.tolist() == [0.5, 0.5]


def test_the_softmax_policy_lets_exit_what_reaches_its_threshold_in_confidence(rng: np.random.Generator):
    rows = make_predictions(rng, 50, separation=0.5)
    confidence = read(rows).confidence
    exited = ThresholdExit(exit_threshold=float(np.median(confidence))).decide(rows.scores).exited
    assert exited.tolist() == (confidence >= np.median(confidence)).tolist()


def test_exits_are_counted_with_bounds_that_enclose_the_rate(rng: np.random.Generator):
    rows = make_predictions(rng, 400, separation=0.7)
    decisions = ThresholdExit(exit_threshold=0.9).decide(rows.scores)
    quality = exit_quality(rows, decisions, 0.9)
    expected = fnr_on_exited(decisions, rows.labels)
    assert (quality.fnr_on_exited.events, quality.fnr_on_exited.trials) == (expected.events, expected.trials)
    assert quality.fnr_on_exited.lower_bound < quality.fnr_on_exited.events / quality.fnr_on_exited.trials
    assert quality.coverage.events == np.count_nonzero(decisions.exited)


def test_what_does_not_exit_is_rejected_and_counts_two_classes(rng: np.random.Generator):
    rows = make_predictions(rng, 400, separation=0.7)
    quality = exit_quality(rows, ThresholdExit(exit_threshold=0.9).decide(rows.scores), 0.9)
    assert quality.rejection.events + quality.coverage.events == 400
    assert 0 < quality.rejection.events < 400
    assert quality.average_set_size == pytest.approx(1 + quality.rejection.events / 400)


def test_without_exits_risks_have_no_trials_and_bounds_that_say_nothing(rng: np.random.Generator):
    rows = predictions_of(np.full(5, 0.1), np.ones(5))
    quality = exit_quality(rows, ThresholdExit(exit_threshold=1.0).decide(rows.scores), 0.9)
    assert quality.fnr_on_exited.trials == 0
    assert (quality.fnr_on_exited.lower_bound, quality.fnr_on_exited.upper_bound) == (0, 1)
    assert quality.average_set_size == 2


def test_without_rows_there_is_no_set_size():
    rows = predictions_of(np.zeros(0), np.zeros(0))
    quality = exit_quality(rows, ThresholdExit(exit_threshold=0.9).decide(rows.scores), 0.9)
    assert quality.average_set_size is None
    assert quality.rejection.rate is None
