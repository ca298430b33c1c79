from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from stage1_core.errors import Stage1Error
from stage1_core.metrics.risk_coverage import (
    augrc,
    augrc_bounds,
    aurc,
    aurc_bounds,
    best_aurc,
    coverage_at_risk,
    e_aurc,
    risk_at_coverage,
    risk_coverage_curve,
)

CONSTANT = np.full(100, 0.5)
ALTERNATING = np.tile([0, 1], 50)
NONE = np.zeros(100, dtype=np.int64)
EMPTY = (np.zeros(0), np.zeros(0, dtype=np.bool_))

GOLDEN = [
    ("all right", CONSTANT, 1 - NONE, 0.0, 0.0),
    ("all wrong", CONSTANT, NONE, 1.0, 0.5),
    ("no ranking", CONSTANT, ALTERNATING, 0.5, 0.25),
    ("perfect", ALTERNATING.astype(float), ALTERNATING, 0.125, 0.125),
    ("upside down", 1.0 - ALTERNATING, ALTERNATING, 0.875, 0.375),
    ("ascending, first wrong", np.linspace(0, 1, 100), ALTERNATING, 0.48281112575762547, 0.2475),
    ("ascending, first right", np.linspace(0, 1, 100), 1 - ALTERNATING, None, 0.2525),
]
"""Name, confidence, correct, AURC, AUGRC."""


@pytest.mark.parametrize(("confidence", "correct", "of_augrc"), [row[1:3] + row[4:] for row in GOLDEN])
def test_golden_values_of_augrc(confidence: np.ndarray, correct: np.ndarray, of_augrc: float):
    assert augrc(confidence, correct == 0) == pytest.approx(of_augrc, abs=1e-15)


@pytest.mark.parametrize(("confidence", "correct", "of_aurc"), [row[1:4] for row in GOLDEN if row[3] is not None])
def test_golden_values_of_aurc(confidence: np.ndarray, correct: np.ndarray, of_aurc: float):
    assert aurc(confidence, correct == 0) == pytest.approx(of_aurc, abs=1e-15)


def curve_by_loop(confidence: np.ndarray, failure: np.ndarray) -> list[tuple[int, int]]:
    """Rows kept and failures kept when everything at least as confident as each level is kept."""
    levels = sorted(set(confidence.tolist()), reverse=True)
    kept = [[i for i, c in enumerate(confidence.tolist()) if c >= level] for level in levels]
    return [(len(rows), sum(int(failure[i]) for i in rows)) for rows in kept]


def areas_by_loop(confidence: np.ndarray, failure: np.ndarray) -> tuple[float, float]:
    """AURC and AUGRC: the curve is walked from everything kept down, and its last risk is repeated at coverage 0."""
    n = len(failure)
    points = [(kept / n, failures / kept, failures / n) for kept, failures in curve_by_loop(confidence, failure)[::-1]]
    points.append((0.0, points[-1][1], 0.0))
    of_aurc = of_augrc = 0.0
    for (high, risk, generalized), (low, next_risk, next_generalized) in pairwise(points):
        of_aurc += (high - low) * (risk + next_risk) / 2
        of_augrc += (high - low) * (generalized + next_generalized) / 2
    return of_aurc, of_augrc


def by_auroc(confidence: np.ndarray, failure: np.ndarray) -> float:
    accuracy = 1 - failure.mean()
    auroc = roc_auc_score(1 - failure, confidence) if 0 < accuracy < 1 else 0.0
    return float((1 - auroc) * accuracy * (1 - accuracy) + (1 - accuracy) ** 2 / 2)


def by_pairs(confidence: np.ndarray, failure: np.ndarray) -> float:
    total = 0.0
    for mine, wrong in zip(confidence, failure, strict=True):
        if wrong:
            total += sum(1.0 if other < mine else 0.5 if other == mine else 0.0 for other in confidence)
    return total / len(confidence) ** 2


ranked_rows = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 1)), min_size=1, max_size=60).map(
    lambda rows: (np.array([c / 12 for c, _ in rows]), np.array([f for _, f in rows]))
)


@given(ranked_rows)
def test_augrc_is_what_the_curve_the_auroc_and_counting_pairs_give_also_with_ties(rows):
    confidence, failure = rows
    value = augrc(confidence, failure)
    assert value == pytest.approx(areas_by_loop(confidence, failure)[1], abs=1e-12)
    assert value == pytest.approx(by_auroc(confidence, failure), abs=1e-12)
    assert value == pytest.approx(by_pairs(confidence, failure), abs=1e-12)


@given(ranked_rows)
def test_aurc_is_what_a_loop_over_the_levels_gives_also_with_ties(rows):
    assert aurc(*rows) == pytest.approx(areas_by_loop(*rows)[0], abs=1e-12)


@given(ranked_rows)
def test_the_curve_has_one_point_for_each_level_and_encloses_augrc(rows):
    confidence, failure = rows
    coverage, generalized = risk_coverage_curve(confidence, failure)
    n = len(failure)
    expected = [(0, 0), *curve_by_loop(confidence, failure)]
    assert coverage == pytest.approx([kept / n for kept, _ in expected])
    assert generalized == pytest.approx([failures / n for _, failures in expected])
    assert np.trapezoid(generalized, coverage) == pytest.approx(augrc(confidence, failure), abs=1e-12)


@pytest.mark.parametrize("area", [augrc, aurc, e_aurc])
@given(rows=ranked_rows, random=st.randoms(use_true_random=False))
def test_only_the_ranking_counts_and_not_the_order_of_rows(area, rows, random):
    confidence, failure = rows
    order = list(range(len(failure)))
    random.shuffle(order)
    assert area(np.exp(3 * confidence), failure) == area(confidence, failure)
    assert area(confidence[order], failure[order]) == area(confidence, failure)


@given(ranked_rows)
def test_both_areas_lie_between_the_best_and_the_worst_ranking(rows):
    confidence, failure = rows
    error = float(failure.mean())
    for area, bounds in ((augrc, augrc_bounds), (aurc, aurc_bounds)):
        least, largest = bounds(error)
        assert least - 1e-12 <= area(confidence, failure) <= largest + 1e-12


@pytest.mark.parametrize("failures", [0, 1, 30, 99, 100])
def test_the_best_and_the_worst_ranking_of_both_areas_are_reached_by_two_blocks(failures: int):
    failure = np.arange(100) < failures
    for area, bounds in ((augrc, augrc_bounds), (aurc, aurc_bounds)):
        assert area(1.0 - failure, failure) == pytest.approx(bounds(failures / 100)[0], abs=1e-12)
        assert area(failure.astype(float), failure) == pytest.approx(bounds(failures / 100)[1], abs=1e-12)


def test_without_skill_augrc_is_half_the_error_rate_on_average(rng: np.random.Generator):
    failure = np.arange(200) < 60
    values = [augrc(rng.random(200), failure) for _ in range(400)]
    assert np.mean(values) == pytest.approx(0.15, abs=4 * np.std(values) / math.sqrt(400))


def test_e_aurc_of_the_best_ranking_vanishes_with_many_rows():
    for n, bound in ((1_000, 1e-3), (100_000, 1e-5)):
        failure = np.arange(n) < 0.3 * n
        assert abs(e_aurc(np.arange(n, dtype=np.float64), failure)) < bound


def test_two_tie_blocks_bring_e_aurc_below_zero():
    assert e_aurc(ALTERNATING.astype(float), ALTERNATING == 0) == pytest.approx(-0.0284, abs=5e-5)


@pytest.mark.parametrize(("error", "expected"), [(0.0, 0.0), (1.0, 1.0), (0.5, 0.5 + 0.5 * math.log(0.5))])
def test_the_best_aurc_is_defined_for_no_failure_and_for_failures_only(error: float, expected: float):
    assert best_aurc(error) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("wrong", [0, 1])
def test_e_aurc_is_zero_where_there_is_nothing_to_rank(wrong: int):
    assert e_aurc(np.linspace(0, 1, 10), np.full(10, wrong)) == pytest.approx(0, abs=1e-15)


@given(ranked_rows, st.integers(1, 100))
def test_risk_at_coverage_keeps_the_fewest_whole_blocks_that_are_enough(rows, percent: int):
    enough = [
        failures / kept
        for kept, failures in curve_by_loop(*rows)
        if 100 * kept >= percent * len(rows[0])  # whole numbers, so that nothing is rounded
    ]
    assert risk_at_coverage(*rows, percent / 100) == enough[0]


@given(ranked_rows, st.integers(0, 100))
def test_coverage_at_risk_is_that_of_the_longest_allowed_prefix(rows, percent: int):
    n = len(rows[0])
    allowed = [kept for kept, failures in curve_by_loop(*rows) if 100 * failures <= percent * kept]
    assert coverage_at_risk(*rows, percent / 100) == (max(allowed) / n if allowed else 0.0)


def test_a_coverage_of_55_percent_of_100_rows_is_55_rows():
    failure = np.arange(100) == 55  # the 56th most confident row
    assert 0.55 * 100 > 55
    assert risk_at_coverage(-np.arange(100.0), failure, 0.55) == 0
    assert risk_at_coverage(-np.arange(100.0), failure, 0.56) == 1 / 56


def test_coverage_at_risk_looks_beyond_an_early_failure():
    failure = np.arange(100) == 0
    assert coverage_at_risk(-np.arange(100.0), failure, 0.01) == 1
    assert coverage_at_risk(-np.arange(99.0), failure[:99], 0.01) == 0


def test_a_coverage_at_risk_of_zero_means_that_nothing_may_be_kept():
    assert coverage_at_risk(CONSTANT, ALTERNATING, 0.49) == 0
    assert coverage_at_risk(CONSTANT, ALTERNATING, 0.5) == 1


def test_without_rows_every_number_is_undefined():
    assert [number(*EMPTY) for number in (augrc, aurc, e_aurc)] == [None, None, None]
    assert risk_at_coverage(*EMPTY, 0.5) is None
    assert coverage_at_risk(*EMPTY, 0.5) is None
    assert [points.tolist() for points in risk_coverage_curve(*EMPTY)] == [[0], [0]]


@pytest.mark.parametrize("coverage", [0.0, -0.1, 1.1, math.nan])
def test_an_impossible_coverage_is_refused(coverage: float):
    with pytest.raises(Stage1Error, match="cannot be kept; give a fraction"):
        risk_at_coverage(CONSTANT, NONE, coverage)


@pytest.mark.parametrize("risk", [-0.1, 1.1, math.nan])
def test_an_impossible_risk_is_refused(risk: float):
    with pytest.raises(Stage1Error, match="is impossible; give a ceiling"):
        coverage_at_risk(CONSTANT, NONE, risk)
