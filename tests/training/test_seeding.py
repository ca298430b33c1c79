from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from stage1_core.training.seeding import (
    RandomStreams,
    capture_random_state,
    epoch_order,
    repeatable,
    restore_random_state,
)


def draw():
    return random.random(), np.random.rand(), torch.rand(1).item()


def test_one_seed_decides_the_draws_of_every_generator():
    with RandomStreams(3).installed():
        first = draw()
    with RandomStreams(3).installed():
        again = draw()
    with RandomStreams(4).installed():
        other = draw()
    assert first == again
    assert all(a != b for a, b in zip(first, other, strict=True))


def test_processes_draw_differently():
    with RandomStreams(3, process=0).installed():
        first = draw()
    with RandomStreams(3, process=1).installed():
        second = draw()
    assert all(a != b for a, b in zip(first, second, strict=True))


def test_streams_go_on_where_they_stopped_whatever_happens_between():
    streams = RandomStreams(3)
    with streams.installed():
        unbroken = [draw(), draw()]
    streams = RandomStreams(3)
    with streams.installed():
        first = draw()
    draw()
    with streams.installed():
        second = draw()
    assert [first, second] == unbroken


def test_the_generators_outside_are_not_moved():
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    with RandomStreams(3).installed():
        draw()
    assert before == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())


def test_a_training_draws_on_where_it_was_on_another_gpu(monkeypatch: pytest.MonkeyPatch):
    gpus, current = [torch.Generator().manual_seed(seed) for seed in (1, 2)], 0
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda: gpus[current].get_state())
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state: gpus[current].set_state(state))
    left = capture_random_state()
    expected = torch.rand(1, generator=gpus[0])
    current = 1
    restore_random_state(left)
    assert torch.rand(1, generator=gpus[1]) == expected


def test_the_order_of_an_epoch_is_a_permutation_that_seed_and_epoch_decide():
    order = epoch_order(1, 2, 50)
    assert sorted(order.tolist()) == list(range(50))
    assert order.tolist() == epoch_order(1, 2, 50).tolist()
    assert order.tolist() != epoch_order(1, 3, 50).tolist()
    assert order.tolist() != epoch_order(2, 2, 50).tolist()


def test_repeatable_switches_are_put_back():
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    with repeatable():
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.backends.cudnn.benchmark
    assert before == (torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark)
