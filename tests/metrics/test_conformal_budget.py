from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stage1_core.errors import PolicyError
from stage1_core.metrics.conformal_budget import SelectionRate, crc_budget, dkw_budget, dkw_margin, rows_needed

BUDGETS_AT_2_PERCENT = {0: None, 48: None, 49: 0, 50: 0, 98: 0, 99: 1, 100: 1, 149: 2, 200: 3, 500: 9, 1000: 19}


@pytest.mark.parametrize(("selected", "budget"), BUDGETS_AT_2_PERCENT.items())
def test_the_budgets_at_2_percent_are_those_of_the_table(selected: int, budget: int | None):
    assert crc_budget(selected, 0.02) == budget


@given(percent=st.integers(1, 99), selected=st.integers(0, 100_000))
def test_the_budget_is_that_of_integer_arithmetic(percent: int, selected: int):
    budget = percent * (selected + 1) // 100 - 1
    assert crc_budget(selected, percent / 100) == (budget if budget >= 0 else None)


@pytest.mark.parametrize(("alpha", "selected", "budget"), [(0.07, 99, 6), (0.29, 99, 28), (0.57, 99, 56)])
def test_no_miss_is_lost_to_rounding(alpha: float, selected: int, budget: int):
    assert crc_budget(selected, alpha) == budget
    assert dkw_budget(selected, alpha, 1.0) == budget


def test_floats_would_lose_one():
    assert math.floor(0.29 * 100 - 1) == 27


@given(percent=st.integers(1, 99), selected=st.integers(0, 2000))
def test_the_budget_is_the_largest_for_which_the_picture_to_come_may_count_as_missed(percent: int, selected: int):
    budget = crc_budget(selected, percent / 100)
    spent = 0 if budget is None else budget + 1
    assert spent * 100 <= percent * (selected + 1) < (spent + 1) * 100


def test_the_margin_is_that_of_the_inequality():
    assert dkw_margin(200, 0.1) == pytest.approx(0.0865409, abs=1e-7)
    assert 2 * math.exp(-2 * 350 * dkw_margin(350, 0.05) ** 2) == pytest.approx(0.05)


def test_the_bound_on_the_rate_is_the_counted_rate_less_the_margin_and_never_negative():
    assert SelectionRate(140, 200, 0.1).lower_bound == pytest.approx(0.7 - 0.0865409, abs=1e-7)
    assert SelectionRate(5, 200, 0.1).lower_bound == 0
    assert SelectionRate(0, 0, 0.1).lower_bound == 0


def test_the_dkw_budget_rounds_down():
    """201 · 0.02 · 0.6135 = 2.47: with one miss, and the picture to come, two. Rounding up would allow for three."""
    assert dkw_budget(200, 0.02, SelectionRate(140, 200, 0.1).lower_bound) == 1
    assert dkw_budget(1000, 0.02, SelectionRate(700, 1000, 0.1).lower_bound) == 12
    assert dkw_budget(200, 0.02, 0.2) is None
    assert dkw_budget(200, 0.02, 0.0) is None


@given(st.integers(1, 2000), st.data())
def test_the_dkw_budget_never_exceeds_that_of_a_fixed_selection(positives: int, data: st.DataObject):
    selected = data.draw(st.integers(0, positives))
    bounded = dkw_budget(positives, 0.02, SelectionRate(selected, positives, 0.1).lower_bound)
    fixed = crc_budget(selected, 0.02)
    assert bounded is None or (fixed is not None and bounded <= fixed)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.02, 2.0, math.nan])
def test_a_ceiling_that_is_no_fraction_is_refused(alpha: float):
    with pytest.raises(PolicyError, match="alpha is"):
        crc_budget(100, alpha)
    with pytest.raises(PolicyError, match="alpha is"):
        dkw_budget(100, alpha, 0.5)


@pytest.mark.parametrize("alpha", [0.003, 0.01, 0.02, 0.03, 0.1, 0.3, 0.5, 0.9])
def test_so_many_rows_are_the_fewest_that_have_a_budget(alpha: float):
    needed = rows_needed(alpha)
    assert crc_budget(needed, alpha) is not None
    assert needed == 0 or crc_budget(needed - 1, alpha) is None
