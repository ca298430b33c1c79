"""The same head trained with different optimizers: repeatable, and killed at any epoch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stage1_core.adaptation.head_arm import HeadArm
from stage1_core.compute import DaskLocalCompute
from stage1_core.model.head import HeadConfig
from stage1_core.training.optimizer import AdamWConfig, FriendlySamConfig
from tests.training.toys import FEATURES, feature_rows, select_rows, training

OPTIMIZERS = (AdamWConfig(lr_head=3e-3), FriendlySamConfig())


@pytest.fixture
def arm_of(tmp_path):
    def arm_of(optimizer=OPTIMIZERS[0], folder="checkpoints") -> HeadArm:
        return HeadArm(
            head=HeadConfig(hidden=8),
            training=training(optimizer=optimizer),
            fit_rows=feature_rows(),
            groups=feature_rows().ids,
            select_rows=select_rows(),
            folder=tmp_path / folder,
            identity="0" * 64,
            threads=1,
        )

    return arm_of


@pytest.fixture(params=OPTIMIZERS, ids=lambda optimizer: optimizer.kind)
def any_optimizer(request):
    return request.param


def same_heads(one, other):
    return all(torch.equal(value, other.head.state_dict()[name]) for name, value in one.head.state_dict().items())


def test_the_same_seed_gives_the_same_head_and_another_one_does_not(arm_of, any_optimizer):
    first, again = arm_of(any_optimizer, "first")(0), arm_of(any_optimizer, "again")(0)
    other = arm_of(any_optimizer, "again")(1)
    assert same_heads(first, again)
    assert not same_heads(first, other)
    assert (first.seed, other.seed) == (0, 1)


def test_the_optimizer_makes_a_difference(arm_of):
    heads = [arm_of(optimizer, optimizer.kind)(0) for optimizer in OPTIMIZERS]
    assert not same_heads(*heads)


def test_scores_are_those_of_the_returned_head_on_the_selection_rows(arm_of, any_optimizer):
    trained = arm_of(any_optimizer)(0)
    rows = select_rows()
    assert trained.scores.ids.tolist() == rows.ids.tolist()
    trained.head.eval()
    with torch.inference_mode():
        expected = trained.head(rows.features).class_logits.numpy()
    np.testing.assert_allclose(trained.scores.logits, expected, atol=1e-6)


def test_a_training_that_was_stopped_ends_bit_for_bit_as_one_that_was_left_alone(arm_of, any_optimizer):
    class Stopped(Exception):
        pass

    def stop(result):
        if result.epoch == 2:
            raise Stopped

    alone = arm_of(any_optimizer, "alone")(0)
    with pytest.raises(Stopped):
        arm_of(any_optimizer, "stopped").telling(stop)(0)
    seen = []
    continued = arm_of(any_optimizer, "stopped").telling(lambda result: seen.append(result.epoch))(0)
    assert seen == [3, 4]
    assert same_heads(alone, continued)
    assert alone.scores.logits.tobytes() == continued.scores.logits.tobytes()


def test_what_a_training_cost_is_known_and_stays_known(arm_of):
    cost = arm_of()(0).cost
    assert cost.trainable_parameters == sum(p.numel() for p in arm_of()(0).head.parameters())
    assert cost.trainable_parameters > FEATURES * 8
    assert cost.seconds > 0
    assert cost.peak_memory_bytes > 2**20
    assert arm_of()(0).cost == cost


def test_the_log_has_a_line_for_each_epoch(arm_of):
    assert len(arm_of()(0).log.splitlines()) == 1 + 4


@pytest.mark.slow
def test_worker_processes_give_the_same_bits(arm_of):
    here = [arm_of(folder="here")(seed) for seed in (0, 1)]
    elsewhere = list(DaskLocalCompute(workers=2).map(arm_of(folder="elsewhere"), (0, 1)))
    assert [trained.seed for trained in elsewhere] == [0, 1]
    assert all(same_heads(one, other) for one, other in zip(here, elsewhere, strict=True))
