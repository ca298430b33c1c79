from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stage1_core.training.accumulation import CarriedAccumulation, UpdateBatch, WholeAccumulation


@given(rows=st.lists(st.integers(1, 64), min_size=1, max_size=30), accumulate=st.integers(1, 5))
def test_every_step_of_the_default_weighs_its_rows_the_same(rows, accumulate):
    steps = WholeAccumulation(micro_batches=accumulate).plan(rows)
    assert [index for step in steps for index in step.micro_batches] == list(range(len(rows)))
    for step in steps:
        assert step.is_complete
        assert sum(step.weights) == pytest.approx(1)
        per_row = [weight / rows[index] for index, weight in zip(step.micro_batches, step.weights, strict=True)]
        assert per_row == pytest.approx([per_row[0]] * len(per_row))


def test_the_default_steps_on_a_last_odd_micro_batch():
    assert WholeAccumulation().plan([8, 8, 3])[-1] == UpdateBatch((2,), (1.0,))


@pytest.mark.parametrize(("micro_batches", "updates"), [(97, 48), (292, 146)])
def test_the_historical_way_makes_the_historical_number_of_steps(micro_batches, updates):
    steps = CarriedAccumulation().plan([64] * micro_batches)
    assert sum(step.is_complete for step in steps) == updates


def test_the_historical_way_only_adds_up_a_last_odd_micro_batch():
    steps = CarriedAccumulation().plan([8, 8, 8])
    assert steps == [UpdateBatch((0, 1), (0.5, 0.5)), UpdateBatch((2,), (0.5,), is_complete=False)]
