from __future__ import annotations

import pytest
import torch

from stage1_core.training.replay import Replayable


@pytest.fixture
def network():
    """Normalises over the batch, drops half, and counts what it normalises."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(6, 6), torch.nn.BatchNorm1d(6), torch.nn.Dropout(0.5))


def buffers(network):
    return {name: buffer.clone() for name, buffer in network.named_buffers()}


def test_later_calls_draw_what_the_first_one_drew(network):
    inputs = torch.randn(8, 6)
    again = Replayable(lambda: network(inputs).detach(), [network])
    first = again()
    torch.rand(5)
    assert torch.equal(again(), first)
    assert torch.equal(again(), first)
    assert not torch.equal(network(inputs), first)


def test_after_a_later_call_the_generator_is_where_the_first_one_left_it(network):
    inputs = torch.randn(8, 6)
    again = Replayable(lambda: network(inputs).detach(), [network])
    again()
    left = torch.get_rng_state()
    again()
    assert torch.equal(torch.get_rng_state(), left)


def test_running_statistics_are_those_of_the_first_call(network):
    again = Replayable(lambda: network(torch.randn(8, 6) + 3).detach(), [network])
    before = buffers(network)
    again()
    after = buffers(network)
    assert after["1.num_batches_tracked"] == 1
    assert not torch.equal(before["1.running_mean"], after["1.running_mean"])
    again()
    found = buffers(network)
    assert all(torch.equal(value, found[name]) for name, value in after.items())


def test_a_call_that_fails_leaves_no_trace_either(network):
    outcomes = iter([torch.zeros(()), None])

    def closure():
        network(torch.randn(8, 6))
        if (value := next(outcomes)) is None:
            raise RuntimeError("out of memory")
        return value

    again = Replayable(closure, [network])
    again()
    left = buffers(network)
    with pytest.raises(RuntimeError, match="out of memory"):
        again()
    found = buffers(network)
    assert all(torch.equal(value, found[name]) for name, value in left.items())


def test_gradients_of_a_later_call_are_those_of_the_first_where_the_weights_are(network):
    inputs = torch.randn(8, 6)

    def closure():
        loss = network(inputs).square().sum()
        loss.backward()
        return loss.detach()

    again = Replayable(closure, [network])
    again()
    once = network[0].weight.grad.clone()
    network.zero_grad()
    again()
    assert torch.equal(network[0].weight.grad, once)


def test_a_loss_that_depends_on_a_buffer_finds_it_as_the_first_call_did(network):
    def closure():
        seen = network[1].num_batches_tracked.clone()
        network(torch.randn(8, 6))
        return seen

    again = Replayable(closure, [network])
    assert [again().item() for _ in range(3)] == [0, 0, 0]
    assert network[1].num_batches_tracked == 1
