from __future__ import annotations

import pytest

from stage1_core.report.method_promise import HEADING, method_promise_section
from stage1_core.report.page import page
from stage1_core.report.wording import percent, seen
from tests.report.page_reader import Page


def _text(policy) -> str:
    return Page(page("", method_promise_section(policy), figures={})).text


def test_it_is_labelled_as_an_expectation_about_selected_rows_and_no_reason_for_release(pair):
    text = _text(pair)
    assert text.startswith(HEADING)
    assert "of pictures that are selected, not of those that exit" in text
    assert "on average over calibration sets, not at a confidence" in text
    assert "Nothing here is a reason for release" in text
    assert "In expectation, of selected rows" in text


def test_every_count_of_the_guarantee_is_shown(pair):
    text, found = _text(pair), pair.bounds
    assert found.misses > 0
    assert found.exited_positives < found.selected_positives < found.positives
    assert f"roadwork selected {seen(found.selected_positives, found.positives)}" in text
    assert f"misses allowed for {found.budget}" in text
    assert f"missed, of roadwork selected {seen(found.misses, found.selected_positives)}" in text
    assert f"missed, of roadwork that exits {seen(found.misses, found.exited_positives)}" in text
    bound = found.fnr_on_exited.upper_bound(pair.constraint.confidence)
    assert f"exact upper bound of the latter (90 %) {percent(bound)}, were τ fixed beforehand" in text
    assert f"mean size of the sets {found.mean_set_size:.4f}" in text
    assert "{0} where P(roadwork) < 0.415" in text


def test_the_selection_threshold_is_that_of_the_guarantee_which_need_not_be_the_one_in_force(scrc):
    assert scrc.bounds.lambda1 != scrc.lambda1
    assert f"selects P(stage A is right) ≥ {scrc.bounds.lambda1!r}, as val_select chose it" in _text(scrc)


@pytest.fixture
def without_budget(pair):
    nothing = {"tau": None, "budget": None, "misses": 0, "exited_positives": 0, "mean_set_size": None}
    return pair.model_copy(update={"bounds": pair.bounds.model_copy(update=nothing)})


def test_without_a_budget_nothing_is_promised_and_no_rate_is_made_up(without_budget):
    text = _text(without_budget)
    assert "promise no promise" in text
    assert "{0, 1} always: nothing exits" in text
    assert "misses allowed for not even 0" in text
    assert "missed, of roadwork that exits undefined (0 trials)" in text
    assert "mean size of the sets undefined (0 rows)" in text
