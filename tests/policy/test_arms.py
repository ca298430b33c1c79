from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stage1_core.errors import PolicyError, SplitUseError
from stage1_core.policy.arms import Arm, ArmRun, same_rows
from stage1_core.splits import Purpose
from tests.policy.recipes import Recipes, cost


@pytest.fixture
def arms(rng) -> list[Arm]:
    return Recipes(groups=30).draw(rng, {"frozen": 0.0, "lora": 0.5})


def with_rows(arm: Arm, place: int, **changed: object) -> Arm:
    runs = list(arm.runs)
    runs[place] = replace(runs[place], rows=replace(runs[place].rows, **changed))
    return replace(arm, runs=tuple(runs))


def test_the_cost_is_the_most_memory_and_the_mean_time_of_the_runs(arms):
    rows = arms[0].runs[0].rows
    costs = (cost(10, 60.0, 500), cost(10, 90.0, 700), cost(10, 90.0, 600))
    found = Arm("lora", tuple(ArmRun(seed, rows, price) for seed, price in enumerate(costs))).cost
    assert (found.trainable_parameters, found.peak_memory_bytes, found.seconds) == (10, 700, 80.0)


def test_a_memory_that_was_not_measured_once_is_unknown(arms):
    rows = arms[0].runs[0].rows
    runs = (ArmRun(0, rows, cost(10, memory=None)), ArmRun(1, rows, cost(10, memory=600)))
    assert Arm("lora", runs).cost.peak_memory_bytes is None


def test_fewer_parameters_are_cheaper_and_time_decides_between_equals():
    assert sorted([cost(2, 1), cost(1, 9), cost(2, 0.5)], key=lambda price: price.order) == [
        cost(1, 9),
        cost(2, 0.5),
        cost(2, 1),
    ]


def test_arms_on_the_same_rows_are_accepted(arms):
    assert same_rows(arms, "lora") is arms[0].runs[0].rows


@pytest.mark.parametrize("names", [("frozen",), ("frozen", "frozen"), ("lora", "full"), ()])
def test_fewer_than_two_names_or_no_reference_are_refused(arms, names):
    with pytest.raises(PolicyError, match="two or more with different names"):
        same_rows([replace(arms[0], name=name) for name in names], "frozen")


@pytest.mark.parametrize("kept", [(0, 1), (1, 0, 2), (0, 0, 1), ()])
def test_other_seeds_are_refused(arms, kept):
    frozen, lora = arms
    other = replace(lora, runs=tuple(lora.runs[place] for place in kept))
    with pytest.raises(PolicyError, match="same seeds"):
        same_rows([frozen, other], "frozen")
    with pytest.raises(PolicyError, match="same seeds"):
        same_rows([other, frozen], "frozen")


def test_rows_in_another_order_are_refused_in_any_run(arms):
    frozen, lora = arms
    rows = lora.runs[2].rows
    turned = rows.take(np.arange(len(rows))[::-1])
    runs = (*lora.runs[:2], replace(lora.runs[2], rows=turned))
    with pytest.raises(PolicyError, match=r"lora \(seed 2\) must be compared on the same rows"):
        same_rows([frozen, replace(lora, runs=runs)], "frozen")


@pytest.mark.parametrize("place", [0, 2])
def test_rows_of_another_purpose_are_refused_in_any_run(arms, place):
    for purpose in (Purpose.FINAL_EVALUATION, Purpose.CERTIFY_POLICY):
        with pytest.raises(SplitUseError, match="select_model"):
            same_rows([arms[0], with_rows(arms[1], place, purpose=purpose)], "frozen")


def test_no_rows_are_refused(arms):
    nothing = [
        replace(arm, runs=tuple(replace(run, rows=run.rows.take(np.arange(0))) for run in arm.runs)) for arm in arms
    ]
    with pytest.raises(PolicyError, match="no row"):
        same_rows(nothing, "frozen")
