from __future__ import annotations

import math

import pytest
import torch

from stage1_core.training.averaging import ConstantAverageConfig, NoAverageConfig, WarmupAverageConfig, WeightAverage

CONFIGS = [WarmupAverageConfig(), ConstantAverageConfig(), NoAverageConfig()]


def parameter(*values):
    return torch.nn.Parameter(torch.tensor(values, dtype=torch.float32))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.kind)
def test_constant_weights_have_themselves_as_average(config):
    weight = parameter(1.5, -2.0)
    average = WeightAverage(config, {"weight": weight})
    for _ in range(5):
        average.update()
    assert torch.equal(average.values()["weight"], weight.detach())


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.kind)
def test_three_updates_agree_with_the_closed_form(config):
    weight = parameter(8.0)
    average = WeightAverage(config, {"weight": weight})
    expected, values = 8.0, (1.0, 5.0, -2.0)
    for update, value in enumerate(values):
        weight.data.fill_(value)
        average.update()
        decay = config.decay_at(update)
        expected = decay * expected + (1 - decay) * value
    assert average.values()["weight"].item() == pytest.approx(expected, rel=1e-6)


def test_the_warm_up_is_the_smaller_of_decay_and_its_ramp():
    config = WarmupAverageConfig(decay=0.9)
    assert [config.decay_at(update) for update in (0, 1, 8)] == [1 / 10, 2 / 11, 9 / 18]
    assert config.decay_at(79) == pytest.approx(80 / 89)
    assert config.decay_at(1000) == 0.9


def test_warm_up_forgets_the_initial_weights_in_a_hundred_updates():
    config = WarmupAverageConfig()
    assert math.prod(config.decay_at(update) for update in range(100)) < 1e-11


def test_the_constant_average_still_holds_half_of_the_initial_weights_after_6931_updates():
    assert ConstantAverageConfig().decay_at(0) ** 6931 == pytest.approx(0.5, abs=1e-4)


def test_without_average_the_last_weights_are_the_average():
    weight = parameter(1.0)
    average = WeightAverage(NoAverageConfig(), {"weight": weight})
    weight.data.fill_(1 / 3)
    average.update()
    assert torch.equal(average.values()["weight"], weight.detach())


def test_weights_after_applying_the_average_are_bit_for_bit_those_before():
    weight = parameter(0.1, 1e-30, -7.7)
    average = WeightAverage(WarmupAverageConfig(), {"weight": weight})
    weight.data.mul_(3.3)
    average.update()
    before = weight.detach().clone()
    with average.applied():
        assert torch.equal(weight.detach(), average.values()["weight"])
        assert not torch.equal(weight.detach(), before)
    assert torch.equal(weight.detach(), before)


def test_changing_weights_while_the_average_is_applied_does_not_change_the_average():
    weight = parameter(1.0)
    average = WeightAverage(WarmupAverageConfig(), {"weight": weight})
    with average.applied():
        weight.data.fill_(100.0)
    assert average.values()["weight"].item() == 1.0


def test_a_continued_average_goes_on_as_if_it_had_not_stopped():
    weight = parameter(1.0)
    whole = WeightAverage(WarmupAverageConfig(), {"weight": weight})
    weight.data.fill_(2.0)
    whole.update()
    continued = WeightAverage(WarmupAverageConfig(), {"weight": weight})
    continued.load(whole.values(), whole.updates)
    weight.data.fill_(-3.0)
    whole.update()
    continued.update()
    assert torch.equal(whole.values()["weight"], continued.values()["weight"])
