"""Thresholds, sets and joint decisions. Probabilities are drawn from a coarse grid, so that ties are the rule."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stage1_core.errors import PolicyError
from stage1_core.metrics.risk import fnr_on_exited
from stage1_core.policy.selective_conformal import (
    SelectiveScores,
    conformal_sets,
    decide_batch,
    selection_threshold,
    set_threshold,
)

GRID = st.integers(0, 20).map(lambda step: step / 20)
PROBABILITIES = st.lists(GRID, max_size=40).map(np.array)


def scores_of(selection: list[float], p1: list[float]) -> SelectiveScores:
    return SelectiveScores(np.array(selection, dtype=np.float64), np.array(p1, dtype=np.float64))


def taken(scores: SelectiveScores, rows: object) -> SelectiveScores:
    return SelectiveScores(scores.selection[rows], scores.p1[rows])


@st.composite
def labelled(draw: st.DrawFn, min_size: int = 0) -> tuple[SelectiveScores, np.ndarray]:
    rows = draw(st.lists(st.tuples(GRID, GRID, st.integers(0, 1)), min_size=min_size, max_size=60))
    selection, p1, labels = (np.array(column) for column in (zip(*rows, strict=True) if rows else ([], [], [])))
    return SelectiveScores(selection, p1), labels


class TestSelectionThreshold:
    @given(st.lists(GRID, min_size=1, max_size=40).map(np.array), st.integers(1, 100))
    def test_it_is_the_largest_score_that_the_share_reaches(self, selection: np.ndarray, percent: int):
        threshold = selection_threshold(selection, percent / 100)
        reached = [(100 * np.count_nonzero(selection >= score), score) for score in selection.tolist()]
        assert threshold == max(score for hundredfold, score in reached if hundredfold >= percent * len(selection))

    def test_of_fifty_scores_seven_are_14_percent(self):
        """In floats 0.14 of fifty is a little more than seven."""
        assert selection_threshold(np.arange(50.0), 0.14) == 43

    def test_the_order_of_the_scores_does_not_matter(self, rng: np.random.Generator):
        selection = rng.normal(size=101)
        assert selection_threshold(selection, 0.4) == selection_threshold(rng.permutation(selection), 0.4)

    @pytest.mark.parametrize(("size", "rate"), [(0, 0.5), (5, 0.0), (5, 1.1), (5, np.nan)])
    def test_a_share_that_cannot_be_reached_is_refused(self, size: int, rate: float):
        with pytest.raises(PolicyError, match="has no threshold"):
            selection_threshold(np.zeros(size), rate)


class TestSetThreshold:
    @given(PROBABILITIES, st.integers(0, 45))
    def test_it_is_the_one_that_trying_them_all_finds(self, p1: np.ndarray, budget: int):
        """Misses only grow with tau, and only just behind one of the probabilities."""
        behind = [np.nextafter(p, 1) for p in p1.tolist()]
        tried = {tau for tau in (0.0, 0.5, *p1.tolist(), *behind) if tau <= 0.5}
        assert set_threshold(p1, budget) == max(tau for tau in tried if np.count_nonzero(p1 < tau) <= budget)

    def test_who_lies_exactly_at_tau_is_not_missed(self):
        p1 = np.array([0.1, 0.2, 0.2, 0.2, 0.4])
        assert [set_threshold(p1, budget) for budget in range(6)] == [0.1, 0.2, 0.2, 0.2, 0.4, 0.5]
        decisions = conformal_sets(scores_of([1] * 5, p1.tolist()), 0, 0.2)
        assert decisions.label.tolist() == [0, -1, -1, -1, -1]

    def test_it_never_exceeds_one_half(self):
        assert set_threshold(np.array([0.7, 0.8, 0.9]), 0) == 0.5
        assert set_threshold(np.array([]), 0) == 0.5

    def test_without_a_budget_there_is_none(self):
        assert set_threshold(np.array([0.7, 0.8]), None) is None


class TestConformalSets:
    def test_the_sets_follow_from_both_thresholds(self):
        p1 = [0.1, 0.25, 0.3, 0.75, 0.8]
        decisions = conformal_sets(scores_of([1, 1, 1, 1, 1], p1), 1, 0.25)
        assert decisions.label.tolist() == [0, -1, -1, -1, 1]
        assert not conformal_sets(scores_of([1, 1, 1, 1, 1], p1), 1.01, 0.25).exited.any()

    def test_without_tau_nothing_exits(self):
        assert not conformal_sets(scores_of([1, 1], [0.0, 1.0]), 0, None).exited.any()

    def test_at_one_half_only_a_tie_keeps_both_classes(self):
        decisions = conformal_sets(scores_of([1, 1, 1], [0.49, 0.5, 0.51]), 0, 0.5)
        assert decisions.label.tolist() == [0, -1, 1]

    @given(labelled(), GRID, GRID.map(lambda p: p / 2))
    def test_the_fnr_on_exits_times_the_share_that_exits_is_the_fnr_on_selected(self, rows, lambda1, tau):
        """Why the promise about selected positives is too weak for those that exit."""
        scores, labels = rows
        decisions = conformal_sets(scores, lambda1, tau)
        selected = (scores.selection >= lambda1) & (labels == 1)
        one_is_missing = selected & ~decisions.prediction_set[:, 1]
        one_class_left = selected & (decisions.prediction_set.sum(axis=1) == 1)
        exits = fnr_on_exited(decisions, labels)
        if exits.trials:
            count = int(selected.sum())
            share = Fraction(int(one_class_left.sum()), count)
            assert Fraction(exits.events, exits.trials) * share == Fraction(int(one_is_missing.sum()), count)
        else:
            assert not one_is_missing.any()


class TestDecideBatch:
    """A promise that is exact for exchangeable rows can be counted without luck: over every way to split a pool."""

    @given(labelled(min_size=2), st.integers(1, 99), st.data())
    def test_who_is_selected_does_not_depend_on_who_is_in_the_batch(self, rows, percent: int, data: st.DataObject):
        """Sure positives are called 1 as soon as they are selected, so that it shows."""
        selection = rows[0].selection
        pool = SelectiveScores(selection, np.ones(len(selection)))
        selected = selection >= selection_threshold(selection, percent / 100)
        order = np.array(data.draw(st.permutations(range(len(selection)))))
        calibration, batch = np.split(order, [data.draw(st.integers(1, len(order) - 1))])
        decisions = decide_batch(
            taken(pool, calibration),
            np.ones(len(calibration), dtype=np.int64),
            taken(pool, batch),
            selection_rate=percent / 100,
            alpha=0.5,
        )
        enough_to_decide = selected[calibration].any()
        assert decisions.exited.tolist() == (selected[batch] & enough_to_decide).tolist()

    @given(labelled(min_size=3), st.integers(5, 70), st.integers(1, 100), st.integers(1, 2))
    @settings(max_examples=40)
    def test_over_all_batches_of_a_pool_no_more_selected_positives_are_missed_than_promised(
        self, rows, percent: int, rate: int, size: int
    ):
        """Only positives change places; every other negative belongs to the batch, the rest to the calibration rows."""
        scores, labels = taken(rows[0], slice(0, 12)), rows[1][:12]
        selected = scores.selection >= selection_threshold(scores.selection, rate / 100)
        positives, negatives = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
        missed = trials = 0
        for chosen in map(list, itertools.combinations(positives, size)):
            batch = np.concatenate([chosen, negatives[::2]])
            rest = np.setdiff1d(np.arange(len(labels)), batch)
            decisions = decide_batch(
                taken(scores, rest), labels[rest], taken(scores, batch), selection_rate=rate / 100, alpha=percent / 100
            )
            missed += np.count_nonzero(decisions.label[: len(chosen)] == 0)
            trials += np.count_nonzero(selected[chosen])
        assert 100 * missed <= percent * trials

    def test_the_promise_is_spent_in_full_where_no_two_positives_are_alike(self, rng: np.random.Generator):
        """Of 50 selected, each in turn the picture to come, one is missed at 2 %, and five are at 10 %."""
        pool, labels = SelectiveScores(rng.random(100), rng.random(100) / 2), np.ones(100, dtype=np.int64)
        for alpha, expected in ((0.02, 1), (0.1, 5), (0.019, 0)):
            missed = 0
            for place in range(100):
                rest = np.delete(np.arange(100), place)
                batch = taken(pool, [place])
                decisions = decide_batch(taken(pool, rest), labels[rest], batch, selection_rate=0.5, alpha=alpha)
                missed += int(decisions.label[0] == 0)
            assert missed == expected

    def test_negatives_of_the_calibration_rows_share_in_the_selection_only(self):
        calibration = scores_of([3, 3, 3, 3], [0.3, 0.4, 0.0, 0.0])
        labels = np.array([1, 1, 0, 0])
        decisions = decide_batch(
            calibration, labels, scores_of([3, 3, 2], [0.29, 0.3, 0.1]), selection_rate=0.8, alpha=0.4
        )
        assert decisions.label.tolist() == [0, -1, -1]

    def test_an_empty_batch_has_no_decisions(self):
        nobody = scores_of([], [])
        labels = np.array([1])
        assert len(decide_batch(scores_of([1], [0.9]), labels, nobody, selection_rate=0.5, alpha=0.02)) == 0


@pytest.mark.parametrize(
    ("selection", "p1", "problem"),
    [
        ([1.0, 2.0], [0.5], "shape"),
        ([np.nan], [0.5], "not finite"),
        ([np.inf], [0.5], "not finite"),
        ([1.0], [-0.1], r"outside \[0, 1\]"),
        ([1.0], [1.5], r"outside \[0, 1\]"),
        ([1.0], [np.nan], r"outside \[0, 1\]"),
    ],
)
def test_scores_that_cannot_be_read_are_refused(selection: list[float], p1: list[float], problem: str):
    with pytest.raises(PolicyError, match=problem):
        scores_of(selection, p1)
