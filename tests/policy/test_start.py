from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from stage1_core.policy.constraint import RiskConstraint
from stage1_core.policy.softmax import ThresholdExit
from stage1_core.policy.start import likeliest_start, predicted_power, predicted_powers
from stage1_core.predictions import Predictions
from stage1_core.splits import Purpose
from tests.toys import make_predictions

THRESHOLDS = np.linspace(0.999, 0.5, 40)


def start(order: Predictions, positives: int, negatives: int = 500, constraint: RiskConstraint | None = None) -> int:
    decisions = [ThresholdExit(exit_threshold=float(t)).decide(order.scores) for t in THRESHOLDS]
    labels = np.repeat([1, 0], [positives, negatives])
    return likeliest_start(predicted_powers(decisions, order, labels, constraint or RiskConstraint()))


def exited_positives(order: Predictions, level: int) -> float:
    exited = ThresholdExit(exit_threshold=float(THRESHOLDS[level])).decide(order.scores).exited
    return float(exited[order.labels == 1].mean())


@pytest.fixture
def order(rng: np.random.Generator) -> Predictions:
    return make_predictions(rng, 2000, purpose=Purpose.SELECT_MODEL)


def test_the_start_lets_enough_positives_exit_to_certify_anything(order: Predictions):
    assert 200 * exited_positives(order, start(order, 200)) > 114


def test_with_too_few_positives_the_laxest_candidate_is_tried(order: Predictions):
    assert start(order, 60) == len(THRESHOLDS) - 1


def test_a_stricter_confidence_needs_a_start_with_more_exits(order: Predictions):
    strict = start(order, 200, constraint=RiskConstraint(confidence=0.99))
    assert exited_positives(order, strict) >= exited_positives(order, start(order, 200))
    assert strict > start(order, 200)


def test_confident_misses_on_the_ordering_rows_move_the_start_to_where_they_are_diluted(order: Predictions):
    logits = order.scores.logits.copy()
    wrong = np.flatnonzero(order.labels == 1)[:12]
    logits[wrong] = [6.0, -6.0]
    scores = type(order.scores)(order.scores.ids, logits)
    spoiled = Predictions(order.purpose, scores, order.labels, order.groups, order.sources)
    assert start(spoiled, 1000) > start(order, 1000)


def test_a_guard_on_negatives_counts_too(order: Predictions):
    few_negatives = start(order, 1000, negatives=60, constraint=RiskConstraint(max_fpr_on_exited=0.05))
    assert few_negatives > start(order, 1000, negatives=1000, constraint=RiskConstraint(max_fpr_on_exited=0.05))


def test_the_predicted_power_is_the_binomial_one_when_the_ordering_rows_are_many():
    pool = 10**9
    # 499 of 500 expected trials: the floor of 500 less a deviation that is all but zero.
    power = predicted_power(np.array([0, pool // 200]), np.array([pool, pool]), pool, 500, 0.02, 0.1)
    assert power == pytest.approx([1.0, binom.cdf(5, 499, 1 / 200)], abs=1e-6)


def test_the_predicted_power_is_zero_where_too_few_trials_can_be_expected():
    assert predicted_power(np.array([0, 0]), np.array([0, 50]), 100, 200, 0.02, 0.1).tolist() == [0, 0]


def test_without_ordering_positives_nothing_can_be_predicted():
    assert predicted_power(np.array([0]), np.array([0]), 0, 500, 0.02, 0.1).tolist() == [0]
