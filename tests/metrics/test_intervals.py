from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import binomtest

from stage1_core.errors import Stage1Error
from stage1_core.metrics.intervals import (
    binomial_p_value,
    clopper_pearson_lower,
    clopper_pearson_upper,
    trials_needed,
)

counts = st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
ceilings = st.floats(0.001, 0.2)
confidences = st.floats(0.5, 0.999)


@given(counts, ceilings)
def test_the_p_value_is_that_of_scipys_exact_test(count: tuple[int, int], ceiling: float):
    expected = binomtest(*count, ceiling, alternative="less").pvalue
    assert binomial_p_value(*count, ceiling) == pytest.approx(expected, rel=1e-9, abs=1e-300)


@given(counts, confidences)
def test_the_bounds_are_those_of_scipys_exact_interval(count: tuple[int, int], confidence: float):
    upper = binomtest(*count, alternative="less").proportion_ci(confidence, "exact").high
    lower = binomtest(*count, alternative="greater").proportion_ci(confidence, "exact").low
    assert clopper_pearson_upper(*count, confidence) == pytest.approx(upper, rel=1e-9)
    assert clopper_pearson_lower(*count, confidence) == pytest.approx(lower, rel=1e-9)


@given(counts, ceilings, confidences)
def test_the_upper_bound_keeps_a_ceiling_exactly_when_the_p_value_is_small(count, ceiling, confidence):
    p_value, bound = binomial_p_value(*count, ceiling), clopper_pearson_upper(*count, confidence)
    assume(abs(bound - ceiling) > 1e-9)
    assert (p_value <= 1 - confidence) == (bound <= ceiling)


def test_golden_bounds_and_p_values():
    assert clopper_pearson_upper(5, 500, 0.95) == pytest.approx(0.0209103, abs=5e-8)
    assert clopper_pearson_upper(5, 500, 0.90) == pytest.approx(0.0184701, abs=5e-8)
    assert binomial_p_value(5, 500, 0.02) == pytest.approx(0.0651918671, abs=5e-11)
    assert binomial_p_value(1, 200, 0.02) == pytest.approx(0.0893754838, abs=5e-11)
    assert binomial_p_value(9, 935, 0.02) == pytest.approx(0.0099151705, abs=5e-11)


def test_without_trials_nothing_is_known():
    assert binomial_p_value(0, 0, 0.02) == 1
    assert clopper_pearson_upper(0, 0, 0.9) == 1
    assert clopper_pearson_lower(0, 0, 0.9) == 0


@pytest.mark.parametrize(("events", "trials"), [(3, 2), (-1, 2)])
def test_impossible_counts_are_refused(events: int, trials: int):
    with pytest.raises(Stage1Error, match=f"{events} events of {trials} trials is impossible"):
        binomial_p_value(events, trials, 0.02)


TRIALS_NEEDED = [
    (0, 114, 149, 228, 263),
    (1, 194, 236, 330, 369),
    (2, 265, 313, 418, 461),
    (3, 333, 386, 499, 545),
    (4, 398, 456, 577, 626),
    (5, 462, 523, 652, 703),
    (6, 525, 590, 725, 779),
    (7, 587, 655, 796, 852),
    (8, 648, 719, 866, 924),
    (9, 708, 782, 935, 995),
    (10, 768, 845, 1003, 1065),
    (15, 1062, 1151, 1332, 1402),
    (20, 1349, 1449, 1649, 1727),
    (30, 1912, 2030, 2263, 2352),
    (50, 3012, 3158, 3444, 3553),
]
"""Events, and the trials that certify 2 % in spite of them at 90, 95, 99 and 99.5 %."""


@pytest.mark.parametrize("row", TRIALS_NEEDED, ids=lambda row: f"{row[0]} events")
def test_golden_table_of_trials_needed(row: tuple[int, ...]):
    assert tuple(trials_needed(row[0], 0.02, level) for level in (0.90, 0.95, 0.99, 0.995)) == row[1:]


MOST_EVENTS = [(114, 0, None), (200, 1, 0), (300, 2, 1), (500, 5, 4), (1000, 13, 12), (2000, 31, 29)]
"""Trials, and the most events that certify 2 % at 90 and at 95 %; None where no count does."""


@pytest.mark.parametrize(("trials", "at_90", "at_95"), MOST_EVENTS)
def test_golden_table_of_the_most_events(trials: int, at_90: int, at_95: int | None):
    for delta, most in ((0.1, at_90), (0.05, at_95)):
        certifying = [events for events in range(trials) if binomial_p_value(events, trials, 0.02) <= delta]
        assert certifying == list(range(0 if most is None else most + 1))


@given(st.integers(0, 60), ceilings, confidences)
def test_trials_needed_are_the_fewest_that_certify(events: int, ceiling: float, confidence: float):
    needed = trials_needed(events, ceiling, confidence)
    assert binomial_p_value(events, needed, ceiling) <= 1 - confidence
    assert binomial_p_value(events, needed - 1, ceiling) > 1 - confidence


@given(st.integers(1, 300), st.floats(0.002, 0.2), st.floats(0, 1))
def test_the_p_value_is_super_uniform_at_the_ceiling(trials: int, ceiling: float, u: float):
    """P(p <= u) <= u, with the distribution of the count summed term by term."""
    reached = sum(
        math.comb(trials, events) * ceiling**events * (1 - ceiling) ** (trials - events)
        for events in range(trials + 1)
        if binomial_p_value(events, trials, ceiling) <= u
    )
    assert reached <= u + 1e-9
