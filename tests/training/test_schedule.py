from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stage1_core.training.config import historical_training, historical_training_of_second_version
from stage1_core.training.schedule import (
    HistoricalScheduleConfig,
    TrainingLength,
    WarmupCosineConfig,
    WarmupEpochs,
    WarmupFraction,
)

NATIX = """4.95e-05 9.90e-05 9.97e-05 9.88e-05 9.73e-05 9.52e-05 9.26e-05 8.94e-05 8.57e-05 8.16e-05 7.71e-05 7.23e-05
6.72e-05 6.19e-05 5.65e-05"""
WITH_KAGGLE = """5.00e-05 1.00e-04 9.97e-05 9.87e-05 9.72e-05 9.50e-05 9.23e-05 8.91e-05 8.54e-05 8.12e-05 7.66e-05
7.17e-05 6.65e-05 6.11e-05 5.56e-05"""
SECOND_VERSION = {
    1: "4.00e-05",
    2: "8.00e-05",
    3: "7.97e-05",
    4: "7.90e-05",
    5: "7.78e-05",
    6: "7.60e-05",
    15: "4.45e-05",
}


def historical_rates(rows, training, epochs=15):
    """Learning rates after each epoch, as the historical trainer printed them."""
    micro_batches = rows // training.batch.sizes[0]
    updates = micro_batches // training.batch.accumulation.micro_batches
    factor = training.schedule.factor(TrainingLength(epochs, micro_batches, updates))
    return [f"{training.optimizer.lr_head * factor(epoch * updates):.2e}" for epoch in range(1, epochs + 1)]


@pytest.mark.parametrize(("rows", "printed"), [(6_251, NATIX), (18_736, WITH_KAGGLE)])
def test_the_historical_schedule_gives_the_rates_of_the_historical_log(rows, printed):
    assert historical_rates(rows, historical_training()) == printed.split()


def test_the_second_version_gives_the_rates_of_its_log():
    rates = historical_rates(18_736, historical_training_of_second_version())
    assert {epoch: rates[epoch - 1] for epoch in SECOND_VERSION} == SECOND_VERSION


def test_the_first_historical_update_changes_nothing():
    assert HistoricalScheduleConfig().factor(TrainingLength(15, 97, 48))(0) == 0


def test_a_historical_training_of_nothing_but_warm_up_does_not_divide_by_zero():
    assert HistoricalScheduleConfig(warmup_epochs=2).factor(TrainingLength(2, 10, 10))(20) == 1


def test_warm_up_rises_to_the_peak_and_the_cosine_falls_to_its_end():
    factor = WarmupCosineConfig(warmup=WarmupEpochs(epochs=1), final_fraction=0.1).factor(TrainingLength(10, 8, 4))
    assert factor(0) == 1 / 4
    assert factor(3) == 1
    assert factor(4) == 1
    assert factor(40) == pytest.approx(0.1)
    assert factor(22) == pytest.approx(0.1 + 0.9 * (1 + math.cos(math.pi / 2)) / 2)


def test_warm_up_as_a_fraction_counts_optimizer_steps():
    factor = WarmupCosineConfig(warmup=WarmupFraction(fraction=0.25)).factor(TrainingLength(10, 8, 4))
    assert [factor(step) for step in (0, 9, 10)] == [1 / 10, 1, 1]


@given(
    epochs=st.integers(1, 20),
    updates=st.integers(1, 20),
    warmup=st.floats(0, 30),
    end=st.floats(0, 1),
)
def test_every_step_has_a_rate_between_zero_and_the_peak(epochs, updates, warmup, end):
    length = TrainingLength(epochs, updates, updates)
    factor = WarmupCosineConfig(warmup=WarmupEpochs(epochs=warmup), final_fraction=end).factor(length)
    factors = [factor(step) for step in range(epochs * updates)]
    assert all(0 <= value <= 1 for value in factors)
    warm_up = min(round(warmup * updates), len(factors))
    assert all(after > before for before, after in itertools.pairwise(factors[:warm_up]))
    assert all(after <= before for before, after in itertools.pairwise(factors[warm_up:]))
