from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from stage1_core.adaptation.config import PretrainingOptimizerConfig
from stage1_core.adaptation.pretraining import kept_backbone, kept_epoch, pretrain
from stage1_core.adaptation.trainable import changes, may_change
from stage1_core.data.transforms import ModerateAugment, ProcessorGeometry
from stage1_core.errors import CheckpointError, DataError, ModelError, Stage1Error
from stage1_core.model.backbone import load_backbone
from stage1_core.training.checkpoint import latest_good, save_checkpoint
from tests.adaptation.toys import OBJECTIVES, PIXELS, TRANSFORM, linear_probe, told_probe, toy_config
from tests.model.backbone_folders import dinov3_convnext

EVERY = pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda config: config.kind)
IMPROVING = tuple(0.4 - 0.01 * call for call in range(40))


def run(backbone, pictures, config, probe=None, **options):
    return pretrain(backbone, pictures, TRANSFORM, probe or told_probe(*IMPROVING), config, workers=0, **options)


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


@EVERY
def test_the_loss_falls(backbone, pictures, objective):
    losses = [result.loss for result in run(backbone, pictures, toy_config(objective=objective, epochs=12))]

    assert losses[0] is None
    assert all(math.isfinite(loss) for loss in losses[1:])
    assert np.mean(losses[-2:]) < 0.9 * losses[1]


@EVERY
def test_nothing_changes_but_what_may(backbone, pictures, objective):
    config = toy_config(objective=objective)
    before = {name: value.clone() for name, value in backbone.network.state_dict().items()}
    *_, last = run(backbone, pictures, config)
    kept = kept_backbone(backbone, last.state(), config)
    unused = {"embeddings.mask_token"} if objective.kind == "masked_autoencoder" else set()

    assert last.kept_epoch == 3
    assert changes(backbone, kept) == may_change(backbone, config.trainable) - unused
    assert same(backbone.network.state_dict(), before)
    assert list(kept.network.state_dict()) == list(before)


@EVERY
def test_a_continued_pretraining_is_bit_for_bit_an_uninterrupted_one(backbone, pictures, objective, tmp_path):
    config = toy_config(objective=objective, augment=ModerateAugment())
    whole = [(result.loss, result.probe, result.state()) for result in run(backbone, pictures, config)]

    for stopped, (_, _, state) in enumerate(whole):
        save_checkpoint(tmp_path, state, config_digest="toy")
        read = latest_good(tmp_path, config_digest="toy")
        rest = list(run(backbone, pictures, config, told_probe(*IMPROVING[stopped + 1 :]), state=read))
        assert [(result.loss, result.probe) for result in rest] == [epoch[:2] for epoch in whole[stopped + 1 :]]
        if rest:
            end, expected = rest[-1].state(), whole[-1][2]
            assert same(end.weights, expected.weights)
            assert same(end.objective, expected.objective)
            assert same(kept_epoch(end).weights, kept_epoch(expected).weights)


def test_epoch_zero_is_the_original_and_is_kept_where_nothing_improves(backbone, pictures):
    seen = []

    def probe(judged):
        seen.append(judged(PIXELS))
        return told_probe(0.2 + 0.01 * len(seen))(judged)

    config = toy_config(patience=2, epochs=9)
    results = list(run(backbone, pictures, config, probe))

    assert [result.epoch for result in results] == [0, 1, 2]
    assert [result.kept_epoch for result in results] == [0, 0, 0]
    assert [result.is_last for result in results] == [False, False, True]
    assert torch.equal(seen[0], backbone(PIXELS))
    assert not torch.equal(seen[1], seen[0])
    assert kept_backbone(backbone, results[-1].state(), config) is backbone


def test_the_best_epoch_is_kept_and_patience_counts_from_it(backbone, pictures):
    seen = []

    def probe(judged):
        seen.append(judged(PIXELS))
        return told_probe((0.3, 0.31, 0.2, 0.2, 0.25, 0.1)[len(seen) - 1])(judged)

    config = toy_config(patience=2, epochs=9)
    results = list(run(backbone, pictures, config, probe))
    kept = kept_backbone(backbone, results[-1].state(), config)

    assert [result.kept_epoch for result in results] == [0, 0, 2, 2, 2]  # an equal epoch is no improvement
    assert results[-1].is_last
    assert torch.equal(kept(PIXELS), seen[2])


def test_a_pretraining_that_has_ended_yields_nothing(backbone, pictures):
    config = toy_config(epochs=1)
    *_, last = run(backbone, pictures, config)

    assert list(run(backbone, pictures, config, state=last.state())) == []


def test_a_real_probe_judges_every_epoch_by_augrc_of_the_select_model_pictures(backbone, pictures):
    probe = linear_probe(pictures)
    original, first = run(backbone, pictures, toy_config(epochs=1), probe)

    assert original.probe == probe(backbone)
    assert first.probe != original.probe
    assert first.kept_epoch == int(first.probe.augrc < original.probe.augrc)


def test_draws_of_the_caller_change_nothing_and_the_caller_draws_as_before(backbone, pictures):
    config = toy_config(augment=ModerateAugment())
    torch.manual_seed(0)
    expected = torch.rand(4)
    quiet = [result.loss for result in run(backbone, pictures, config)]
    torch.manual_seed(0)
    noisy = []
    for position, result in enumerate(run(backbone, pictures, config)):
        assert torch.equal(torch.rand(1)[0], expected[position])
        noisy.append(result.loss)

    assert noisy == quiet


def test_worker_processes_give_the_same_pretraining(backbone, pictures):
    config = toy_config(epochs=1, augment=ModerateAugment())
    here, there = (
        list(pretrain(backbone, pictures, TRANSFORM, told_probe(*IMPROVING), config, workers=workers))[-1]
        for workers in (0, 1)
    )

    assert here.loss == there.loss


def test_another_seed_gives_another_pretraining(backbone, pictures):
    one, other = (list(run(backbone, pictures, toy_config(epochs=1, seed=seed)))[-1].loss for seed in (5, 6))

    assert one != other


def test_progress_counts_the_steps_of_an_epoch_its_short_last_one_included(backbone, pictures):
    told = []
    *_, last = run(
        backbone, pictures[:20], toy_config(epochs=2), on_update=lambda made, total: told.append((made, total))
    )

    assert told == [(1, 3), (2, 3), (3, 3)] * 2
    assert last.state().updates == 6


def test_a_state_can_be_asked_for_only_until_the_next_epoch(backbone, pictures):
    epochs = run(backbone, pictures, toy_config())
    original = next(epochs)
    next(epochs)

    with pytest.raises(Stage1Error, match="the state after epoch 0 is gone"):
        original.state()


def test_a_state_of_another_rank_is_refused(backbone, pictures):
    config = toy_config(epochs=1)
    *_, last = run(backbone, pictures, config)
    other = toy_config(epochs=2, trainable=config.trainable.model_copy(update={"rank": 3}))

    with pytest.raises(CheckpointError, match="has shape"):
        next(run(backbone, pictures, other, state=last.state()))
    with pytest.raises(CheckpointError, match="has shape"):
        kept_backbone(backbone, last.state(), other)


def test_a_loss_that_is_not_finite_ends_the_pretraining(backbone, pictures):
    wild = PretrainingOptimizerConfig(lr_lora=10, lr_blocks=10, lr_norms=10, lr_objective=10, max_grad_norm=1e6)
    config = toy_config(objective=OBJECTIVES[2], optimizer=wild, epochs=60)

    with torch.no_grad():  # as after an overflow
        backbone.network.get_parameter("norm.weight").fill_(float("inf"))
    with pytest.raises(ModelError, match="use lower learning rates"):
        list(run(backbone, pictures, config))


def test_other_networks_no_pictures_and_other_sizes_are_refused(backbone, pictures, tmp_path):
    convnext = load_backbone(dinov3_convnext(tmp_path), device="cpu")

    with pytest.raises(ModelError, match="extended pretraining knows"):
        next(run(convnext, pictures, toy_config()))
    with pytest.raises(DataError, match="no pictures"):
        next(run(backbone, pictures[:0], toy_config()))
    wrong = ProcessorGeometry(height_px=36, width_px=36)
    with pytest.raises(ModelError, match="do not consist of whole patches"):
        list(pretrain(backbone, pictures, wrong, told_probe(*IMPROVING), toy_config(), workers=0))
