from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    matthews_corrcoef,
    precision_score,
    recall_score,
    roc_auc_score,
)

from stage1_core.metrics.subnet_reward import long_run_reward, reward_at_rates, streetvision_reward


def by_the_rules(sent: list[float], labels: list[int]) -> float:
    """The validator's rules written down once more, with scikit-learn doing the sums and the raising."""

    def window(size: int) -> dict[str, float]:
        answered = [(p, y) for p, y in zip(sent[-size:], labels[-size:], strict=True) if p != -1]
        nothing = {"mcc": 0.0, "accuracy": 0.0}
        if not answered:
            return nothing
        probability, true = np.array([p for p, _ in answered]), np.array([y for _, y in answered])
        called, both = np.round(probability), len(set(true.tolist())) > 1
        try:
            for score in (precision_score, recall_score, f1_score):
                score(true, called, zero_division=0)
            mcc = max(0.0, matthews_corrcoef(true, called)) if both else 0.0
            if both:
                roc_auc_score(true, probability)
            return {"mcc": mcc, "accuracy": accuracy_score(true, called)}
        except ValueError:
            return nothing

    if sent[-1] == -1:
        return 0.0
    in_range = not (sent[-1] < 0 or sent[-1] > 1)
    return float((0.5 * window(100)["mcc"] + 0.5 * window(10)["accuracy"]) * in_range) ** 3


valid = st.floats(0, 1)
odd = st.sampled_from([-1.0, 0.5, 1.2, 1.5, 2.0, -0.4, -0.6, -1.5, 3.0, float("nan"), float("inf"), -float("inf")])


def histories(answer: st.SearchStrategy[float], labels: st.SearchStrategy[int], most: int = 25):
    return st.lists(st.tuples(answer, labels), min_size=1, max_size=most)


def reward(history: list[tuple[float, int]]) -> float | None:
    return streetvision_reward(np.array([p for p, _ in history]), np.array([y for _, y in history], dtype=np.int64))


@pytest.mark.filterwarnings("ignore:.*single label.*", "ignore:.*one class.*", "ignore:invalid value:RuntimeWarning")
@given(
    st.one_of(
        histories(st.one_of(valid, st.just(-1.0)), st.integers(0, 1), most=120),
        histories(st.one_of(valid, odd), st.integers(0, 1)),
        histories(st.one_of(st.just(0.9), odd), st.just(1), most=4),
        histories(st.one_of(st.just(0.1), odd), st.just(0), most=4),
    )
)
def test_it_is_what_the_rules_with_scikit_learn_give(history: list[tuple[float, int]]):
    expected = by_the_rules([p for p, _ in history], [y for _, y in history])
    assert reward(history) == pytest.approx(expected, abs=1e-12)


right = [(0.9, 1), (0.1, 0)]


def test_a_faultless_history_earns_everything():
    assert reward(right * 50) == 1


@pytest.mark.parametrize("newest", [-1.0, -0.1, 1.1, 2.0, float("nan"), float("inf")])
def test_an_invalid_answer_earns_nothing_however_good_the_history(newest: float):
    assert reward([*right * 50, (newest, 1)]) == 0


def test_a_missed_answer_costs_only_its_own_step():
    assert reward([*right * 49, (-1.0, 1), (0.1, 0)]) == 1


def test_one_half_is_a_call_of_no_roadwork():
    assert reward([*right * 49, (0.9, 1), (0.5, 0)]) == 1
    assert reward([*right * 49, (0.1, 0), (0.5, 1)]) < 1


@pytest.mark.parametrize(("history", "accuracy"), [([(0.9, 1)] * 100, 1.0), ([(0.9, 1), (0.9, 0)] * 50, 0.5)])
def test_one_class_leaves_the_accuracy_alone(history: list[tuple[float, int]], accuracy: float):
    assert reward(history) == pytest.approx((0.5 * accuracy) ** 3)


def test_calls_worse_than_chance_do_not_cost_more_than_chance():
    assert reward([(0.1, 1), (0.9, 0)] * 50) == 0


def test_a_nan_spoils_the_correlation_until_it_leaves_the_window_of_100():
    with_nan = [(float("nan"), 1), *right * 49, (0.9, 1)]
    assert reward(with_nan) == pytest.approx(0.5**3)
    assert reward([*with_nan, (0.1, 0)]) == 1


def test_an_error_leaves_the_accuracy_after_10_answers_and_the_correlation_after_100():
    wrong = (0.1, 1)
    assert reward([wrong, *right * 4, (0.9, 1)]) < reward([wrong, *right * 5]) < 1
    assert reward([wrong, *right * 49, (0.9, 1)]) < 1
    assert reward([wrong, *right * 50]) == 1


def test_windows_are_cut_before_missing_answers_are_dropped():
    wrong_then_silence = [(0.1, 1)] + [(-1.0, 1)] * 9
    assert reward([*right * 44, *wrong_then_silence, (0.9, 1)]) == pytest.approx(
        (0.5 * matthews_corrcoef([1, 0] * 44 + [1, 1], [1, 0] * 44 + [0, 1]) + 0.5) ** 3
    )


def test_before_the_first_answer_there_is_no_reward():
    assert streetvision_reward(np.zeros(0), np.zeros(0, dtype=np.int64)) is None


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ((0.98, 0.98), 0.913),
        ((0.99, 0.95), 0.872),
        ((0.95, 0.95), 0.791),
        ((0.996, 0.868), 0.733),
        ((0.90, 0.90), 0.614),
        ((1.0, 1.0), 1.0),
        ((1.0, 0.0), 0.25**3),
        ((0.0, 1.0), 0.25**3),
        ((0.5, 0.5), 0.25**3),
        ((0.0, 0.0), 0.0),
    ],
)
def test_golden_rewards_of_an_endless_balanced_stream(rates: tuple[float, float], expected: float):
    assert reward_at_rates(*rates) == pytest.approx(expected, abs=5e-4)


@given(st.integers(1, 30), st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
def test_the_long_run_reward_is_that_of_the_correlation_with_the_classes_weighted_alike(hits, misses, rest, alarms):
    labels = np.repeat([1, 1, 0, 0], [hits, misses, rest + 1, alarms])
    probability = np.repeat([0.8, 0.3, 0.2, 0.7], [hits, misses, rest + 1, alarms])
    weight = np.where(labels == 1, 1 / (hits + misses), 1 / (rest + 1 + alarms))
    called = np.round(probability)
    mcc = max(0.0, matthews_corrcoef(labels, called, sample_weight=weight))
    accuracy = accuracy_score(labels, called, sample_weight=weight)
    assert long_run_reward(probability, labels) == pytest.approx((0.5 * mcc + 0.5 * accuracy) ** 3, abs=1e-9)


def test_the_long_run_reward_needs_both_classes():
    assert long_run_reward(np.full(3, 0.9), np.ones(3, dtype=np.int64)) is None
    assert long_run_reward(np.full(3, 0.9), np.zeros(3, dtype=np.int64)) is None
    assert long_run_reward(np.zeros(0), np.zeros(0, dtype=np.int64)) is None


def test_the_mean_of_real_windows_lies_near_the_long_run_reward(rng: np.random.Generator):
    labels = rng.integers(0, 2, 3000)
    called_right = rng.random(3000) < 0.95
    probability = np.where(called_right == (labels == 1), 0.9, 0.1)
    earned = [streetvision_reward(probability[i : i + 100], labels[i : i + 100]) for i in range(2901)]
    assert np.mean(earned) == pytest.approx(long_run_reward(probability, labels), abs=0.02)
