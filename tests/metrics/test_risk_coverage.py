from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from stage1_core.metrics.risk_coverage import augrc

CONSTANT = np.full(100, 0.5)
ALTERNATING = np.tile([0, 1], 50)
NONE = np.zeros(100, dtype=np.int64)


@pytest.mark.parametrize(
    ("confidence", "correct", "expected"),
    [
        (CONSTANT, 1 - NONE, 0.0),
        (CONSTANT, NONE, 0.5),
        (CONSTANT, ALTERNATING, 0.25),
        (ALTERNATING.astype(float), ALTERNATING, 0.125),
        (1.0 - ALTERNATING, ALTERNATING, 0.375),
        (np.linspace(0, 1, 100), ALTERNATING, 0.2475),
        (np.linspace(0, 1, 100), 1 - ALTERNATING, 0.2525),
    ],
    ids=["all right", "all wrong", "no ranking", "perfect", "upside down", "ascending, first wrong", "first right"],
)
def test_golden_values(confidence: np.ndarray, correct: np.ndarray, expected: float):
    assert augrc(confidence, correct == 0) == pytest.approx(expected, abs=1e-15)


def by_trapezoid(confidence: np.ndarray, failure: np.ndarray) -> float:
    _, place = np.unique(-confidence, return_inverse=True)
    coverage = np.r_[0, np.cumsum(np.bincount(place))] / len(failure)
    risk = np.r_[0, np.cumsum(np.bincount(place, weights=failure))] / len(failure)
    return float(np.trapezoid(risk, coverage))


def by_auroc(confidence: np.ndarray, failure: np.ndarray) -> float:
    accuracy = 1 - failure.mean()
    auroc = roc_auc_score(1 - failure, confidence) if 0 < accuracy < 1 else 0.0
    return float((1 - auroc) * accuracy * (1 - accuracy) + (1 - accuracy) ** 2 / 2)


def by_loops(confidence: np.ndarray, failure: np.ndarray) -> float:
    total = 0.0
    for mine, wrong in zip(confidence, failure, strict=True):
        if wrong:
            total += sum(1.0 if other < mine else 0.5 if other == mine else 0.0 for other in confidence)
    return total / len(confidence) ** 2


ranked_rows = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 1)), min_size=1, max_size=60).map(
    lambda rows: (np.array([c / 12 for c, _ in rows]), np.array([f for _, f in rows]))
)


@given(ranked_rows)
def test_trapezoid_auroc_and_counting_pairs_give_the_same_number_also_with_ties(rows):
    confidence, failure = rows
    value = augrc(confidence, failure)
    assert value == pytest.approx(by_trapezoid(confidence, failure), abs=1e-12)
    assert value == pytest.approx(by_auroc(confidence, failure), abs=1e-12)
    assert value == pytest.approx(by_loops(confidence, failure), abs=1e-12)


@given(ranked_rows)
def test_only_the_ranking_counts(rows):
    confidence, failure = rows
    assert augrc(np.exp(3 * confidence), failure) == augrc(confidence, failure)


@given(ranked_rows, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_count(rows, random):
    confidence, failure = rows
    order = list(range(len(failure)))
    random.shuffle(order)
    assert augrc(confidence[order], failure[order]) == augrc(confidence, failure)


@given(ranked_rows)
def test_it_lies_between_the_best_and_the_worst_ranking(rows):
    confidence, failure = rows
    error = failure.mean()
    value = augrc(confidence, failure)
    assert value is not None
    assert error**2 / 2 - 1e-12 <= value <= (1 - (1 - error) ** 2) / 2 + 1e-12


def test_without_rows_it_is_undefined():
    assert augrc(np.zeros(0), np.zeros(0, dtype=np.bool_)) is None
