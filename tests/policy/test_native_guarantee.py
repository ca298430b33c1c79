from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from stage1_core.errors import PolicyError
from stage1_core.metrics.conformal_budget import dkw_margin
from stage1_core.policy.native_guarantee import (
    AnySelection,
    FixedSelection,
    NativeGuarantee,
    QuantileSelection,
    native_guarantee,
)
from stage1_core.policy.selective_conformal import SelectiveScores, conformal_sets

SELECTIONS = [FixedSelection(lambda1=0.3), QuantileSelection(selection_rate=0.7)]
every_selection = pytest.mark.parametrize("selection", SELECTIONS, ids=lambda selection: selection.kind)


def rows_of(rng: np.random.Generator, n: int) -> tuple[SelectiveScores, np.ndarray]:
    """Every other row is positive, four of five look like it, and the selection score says nothing."""
    labels = np.arange(n) % 2
    looks_positive = (labels == 1) == (rng.random(n) < 0.8)
    p1 = np.where(looks_positive, rng.uniform(0.5, 1, n), rng.uniform(0, 0.5, n))
    return SelectiveScores(rng.random(n), p1), labels


def promised(selection: AnySelection, rows: tuple[SelectiveScores, np.ndarray], alpha: float = 0.02) -> NativeGuarantee:
    return native_guarantee(*rows, selection, alpha=alpha, delta_s=0.1)


@every_selection
def test_the_counts_are_those_of_the_sets(selection: AnySelection, rng: np.random.Generator):
    scores, labels = rows_of(rng, 2000)
    found = promised(selection, (scores, labels))
    selected = scores.selection >= found.lambda1
    sets = conformal_sets(scores, found.lambda1, found.tau).prediction_set
    positive = labels == 1
    assert found.positives == 1000
    assert found.selected_positives == np.count_nonzero(selected & positive)
    assert found.exited_positives == np.count_nonzero(positive & (sets.sum(axis=1) == 1))
    assert found.misses == np.count_nonzero(positive & ~sets[:, 1]) == found.budget
    assert found.mean_set_size == pytest.approx(sets[selected].sum(axis=1).mean())
    assert found.lambda2 == 1 - found.tau


@every_selection
def test_what_exits_is_missed_more_often_than_what_is_selected(selection: AnySelection, rng: np.random.Generator):
    found = promised(selection, rows_of(rng, 2000))
    assert found.fnr_on_selected.rate <= 0.02 < found.fnr_on_exited.rate
    assert found.fnr_on_exited.rate * found.exited_of_selected == pytest.approx(found.fnr_on_selected.rate)


def test_the_bound_on_the_selection_rate_costs_misses(rng: np.random.Generator):
    """700 of 1000 positives may miss 13, and 12 where their share may be no more than 0.66."""
    selection = np.tile(np.repeat([0.2, 0.5], [300, 700]), 2)
    rows = SelectiveScores(selection, rng.random(2000)), np.repeat([0, 1], 1000)
    fixed, quantile = (promised(each, rows) for each in SELECTIONS)
    assert (fixed.lambda1, quantile.lambda1) == (0.3, 0.5)
    assert (fixed.budget, quantile.budget) == (13, 12)
    assert fixed.selection_rate_lower_bound == quantile.selection_rate_lower_bound == 0.7 - dkw_margin(1000, 0.1)
    assert fixed.selection_rate == 0.7
    assert quantile.tau < fixed.tau


def test_a_quantile_selects_its_share_of_all_rows_of_both_classes():
    scores = SelectiveScores(np.array([1.0, 2.0, 3.0, 4.0]), np.full(4, 0.9))
    found = promised(QuantileSelection(selection_rate=0.5), (scores, np.array([1, 1, 1, 0])))
    assert (found.lambda1, found.selected_positives, found.positives) == (3.0, 1, 3)


@pytest.mark.parametrize(("selected", "budget"), [(48, None), (49, 0)])
def test_too_few_positives_give_no_budget_and_no_exit(selected: int, budget: int | None):
    scores = SelectiveScores(np.ones(selected), np.full(selected, 0.9))
    found = promised(FixedSelection(lambda1=1.0), (scores, np.ones(selected, dtype=np.int64)))
    assert found.budget == budget
    assert (found.tau is None) == (found.lambda2 is None) == (budget is None)
    assert found.exited_positives == (0 if budget is None else selected)
    assert found.fnr_on_exited.rate == (None if budget is None else 0)
    assert found.mean_set_size == (2 if budget is None else 1)
    assert found.in_words().startswith("no promise: 48 " if budget is None else "in expectation over calibration sets")


def test_ties_at_the_edge_of_the_budget_are_not_missed():
    scores = SelectiveScores(np.ones(100), np.full(100, 0.3))
    found = promised(FixedSelection(lambda1=1.0), (scores, np.ones(100, dtype=np.int64)))
    assert (found.budget, found.misses, found.tau, found.lambda2) == (1, 0, 0.3, 0.7)


@pytest.mark.parametrize(("selection_scores", "labels"), [([], []), ([0.9, 0.9], [0, 0]), ([0.1, 0.1], [1, 1])])
def test_without_a_selected_positive_rates_are_undefined(selection_scores: list[float], labels: list[int]):
    scores = SelectiveScores(np.array(selection_scores), np.full(len(labels), 0.9))
    found = promised(FixedSelection(lambda1=0.3), (scores, np.array(labels)))
    assert (found.tau, found.fnr_on_selected.rate, found.exited_of_selected) == (None, None, None)
    assert (found.selection_rate is None) == (found.positives == 0)
    assert (found.mean_set_size is None) == (not (scores.selection >= 0.3).any())
    assert found.selection_rate_lower_bound == 0


@given(st.lists(st.integers(0, 20), min_size=2, max_size=60), st.integers(2, 90))
@settings(max_examples=50)
def test_each_positive_in_turn_as_the_picture_to_come_they_are_missed_no_more_often_than_promised(p1, percent: int):
    scores = SelectiveScores(np.ones(len(p1)), np.array(p1) / 20)
    missed = 0
    for place in range(len(p1)):
        rest = np.delete(np.arange(len(p1)), place)
        calibration = SelectiveScores(scores.selection[rest], scores.p1[rest])
        found = promised(FixedSelection(lambda1=1.0), (calibration, np.ones(len(rest), dtype=np.int64)), percent / 100)
        missed += int(conformal_sets(scores, found.lambda1, found.tau).label[place] == 0)
    assert 100 * missed <= percent * len(p1)


@every_selection
def test_the_promise_says_whom_it_is_about_and_survives_its_file(selection: AnySelection, rng: np.random.Generator):
    found = promised(selection, rows_of(rng, 400))
    assert found.variant == selection.kind
    assert "selected positives" in found.in_words()
    assert "says nothing of exited ones" in found.in_words()
    assert NativeGuarantee.model_validate_json(found.to_json()) == found
    assert TypeAdapter(AnySelection).validate_json(selection.to_json()) == selection


def test_rows_without_their_labels_are_refused():
    with pytest.raises(PolicyError, match="labels of shape"):
        promised(SELECTIONS[0], (SelectiveScores(np.ones(3), np.ones(3)), np.ones(2)))


def test_a_quantile_of_no_rows_is_refused():
    with pytest.raises(PolicyError, match="has no threshold"):
        promised(SELECTIONS[1], (SelectiveScores(np.ones(0), np.ones(0)), np.ones(0)))
