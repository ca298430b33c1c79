from __future__ import annotations

import numpy as np
import pytest
import torch

from stage1_core.training.accumulation import CarriedAccumulation
from stage1_core.training.batching import BatchConfig
from stage1_core.training.epoch_plan import EpochPlan


def plan_of(rows=11, batch_size=4, process=0, processes=1, **config):
    order = np.random.default_rng(0).permutation(rows)
    return order, EpochPlan.of(order, batch_size, BatchConfig(**config), process=process, processes=processes)


def test_one_process_has_every_row_in_the_order_of_the_epoch():
    order, plan = plan_of()
    assert np.concatenate(plan.own).tolist() == order.tolist()
    assert (plan.sizes, plan.rows) == ((4, 4, 3), 11)


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_share_the_rows_of_each_micro_batch_out(processes):
    plans = [plan_of(process=process, processes=processes)[1] for process in range(processes)]
    _, whole = plan_of()
    for index, positions in enumerate(whole.own):
        assert sorted(np.concatenate([plan.own[index] for plan in plans])) == sorted(positions)


def test_weights_of_a_step_add_up_to_one_over_all_processes():
    plans = [plan_of(process=process, processes=3)[1] for process in range(3)]
    for step in range(2):
        assert sum(sum(plan.weights(plan.steps[step])) for plan in plans) == pytest.approx(1)


def test_a_remainder_smaller_than_the_number_of_processes_is_left_out():
    assert plan_of(rows=9, processes=2)[1].sizes == (4, 4)
    assert plan_of(rows=9)[1].sizes == (4, 4, 1)


@pytest.mark.parametrize(("average", "expected"), [("rows", 21 / 11), ("batches", 2.0)])
def test_the_mean_loss_counts_rows_or_batches(average, expected):
    plan = plan_of(loss_average=average)[1]
    observed = [torch.tensor([[1.0, 4], [2, 3]]), torch.tensor([[3.0, 2]])]
    assert plan.totals(observed).tolist() == pytest.approx([expected, 9])


def test_over_all_processes_the_mean_loss_is_that_of_the_rows():
    """The loss of a row is its position, and 3 processes get unequal parts of micro-batches of 4."""
    totals = torch.zeros(2, dtype=torch.float64)
    for process in range(3):
        plan = plan_of(process=process, processes=3)[1]
        totals += plan.totals([torch.tensor([[float(own.mean()), len(own)] for own in plan.own])])
    assert totals.tolist() == pytest.approx([np.arange(11).mean(), 11])


def test_the_length_counts_micro_batches_and_whole_steps():
    length = plan_of(accumulation=CarriedAccumulation(micro_batches=2))[1].length(5)
    assert (length.epochs, length.micro_batches_per_epoch, length.updates_per_epoch) == (5, 3, 1)
