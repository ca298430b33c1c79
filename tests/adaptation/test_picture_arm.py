"""Head and adapter trained on pictures: repeatable, killed at any epoch, and merged into an ordinary backbone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from stage1_core.adaptation.arm import ArmConfig, SharedRecipe
from stage1_core.adaptation.picture_arm import PictureArm, TrainedArm
from stage1_core.compute import DaskLocalCompute
from stage1_core.data.loading import PicturesDataset
from stage1_core.data.transforms import NoAugment
from stage1_core.errors import CheckpointError
from stage1_core.model.adapters.adapted import merge
from stage1_core.model.adapters.config import (
    DoraAdapterConfig,
    DoranAdapterConfig,
    FrozenBackboneConfig,
    FullFineTuningConfig,
    LoraAdapterConfig,
)
from stage1_core.model.backbone import load_backbone, save_backbone
from stage1_core.model.classifier import Classifier, predict
from stage1_core.model.head import HeadConfig
from stage1_core.phases.domain_adaptation import DomainAdaptationAcceptance
from stage1_core.training.batching import BatchConfig, UsedBatch
from stage1_core.training.config import TrainingConfig
from stage1_core.training.learner import Learner
from stage1_core.training.optimizer import AdamWConfig
from stage1_core.training.selection import SelectionConfig, SelectionMetric
from tests.adaptation.toys import TRANSFORM

EPOCHS = 3
FIT = 16
"""Pictures to train on; the other 8 choose the epoch."""
ADAPTERS = (
    FrozenBackboneConfig(),
    FullFineTuningConfig(),
    LoraAdapterConfig(rank=2),
    DoraAdapterConfig(rank=2),
    DoranAdapterConfig(rank=2),
)
LORA = ADAPTERS[2]
TRAINING = TrainingConfig(
    optimizer=AdamWConfig(lr_head=3e-3, lr_backbone=1e-2),
    batch=BatchConfig(sizes=(8,)),
    selection=SelectionConfig(metric=SelectionMetric.AUGRC, patience=None),
    epochs=EPOCHS,
)


def picture_arm(vit_config, pictures, adapter, folder) -> PictureArm:
    return PictureArm(
        backbone=vit_config,
        arm=ArmConfig(name=adapter.kind, adapter=adapter, training=TRAINING),
        shared=SharedRecipe(head=HeadConfig(hidden=8), seeds=(0, 1)),
        transform=TRANSFORM,
        fit_rows=pictures.iloc[:FIT],
        select_rows=pictures.iloc[FIT:],
        folder=folder,
        identity="0" * 64,
        threads=1,
        workers=0,
    )


@pytest.fixture
def arm_of(vit_config, pictures, tmp_path):
    def arm_of(adapter, folder="checkpoints") -> PictureArm:
        return picture_arm(vit_config, pictures, adapter, tmp_path / folder)

    return arm_of


@pytest.fixture(scope="module", params=ADAPTERS, ids=lambda adapter: adapter.kind)
def any_trained(request, vit_config, pictures, tmp_path_factory) -> tuple[PictureArm, TrainedArm]:
    arm = picture_arm(vit_config, pictures, request.param, tmp_path_factory.mktemp(request.param.kind))
    return arm, arm(0)


def pixels_of(rows):
    return torch.stack(
        [pixels for pixels, _ in (PicturesDataset(rows, TRANSFORM)[place] for place in range(len(rows)))]
    )


def same_weights(one, other):
    assert one.weights.keys() == other.weights.keys()
    return all(torch.equal(value, other.weights[name]) for name, value in one.weights.items())


def test_the_same_seed_gives_the_same_training_and_another_one_does_not(arm_of):
    first, again, other = arm_of(LORA, "first")(0), arm_of(LORA, "again")(0), arm_of(LORA, "again")(1)
    assert same_weights(first, again)
    assert first.scores.logits.tobytes() == again.scores.logits.tobytes()
    assert not same_weights(first, other)


def test_scores_are_those_of_the_selection_rows_at_the_chosen_epoch(arm_of, pictures):
    trained = arm_of(LORA)(0)
    assert trained.scores.ids.tolist() == pictures["id"].iloc[FIT:].tolist()
    assert len(trained.log.splitlines()) == 1 + EPOCHS
    assert 1 <= trained.epoch <= EPOCHS


def test_the_released_backbone_and_head_give_the_scores_that_were_recorded(any_trained, tmp_path):
    arm, trained = any_trained
    adapted, head, facts = arm.released(trained)
    saved = load_backbone(save_backbone(merge(adapted), tmp_path / "merged"), device="cpu")
    rows = arm.select_rows
    batches = [(rows["id"].to_numpy(dtype=np.str_), pixels_of(rows))]
    found = predict(Classifier(saved, head), batches, device="cpu")
    np.testing.assert_allclose(found.logits, trained.scores.logits, atol=1e-5)
    assert facts.merged_difference < 1e-5
    assert facts.reloaded_difference == 0
    assert facts.score_difference < 1e-5
    assert (facts.tau is not None) is isinstance(arm.arm.adapter, DoranAdapterConfig)
    assert facts.pictures == len(rows)


def test_the_merged_backbone_has_the_tensors_of_the_original_and_is_frozen(any_trained, backbone):
    arm, trained = any_trained
    merged = merge(arm.released(trained)[0])
    names = {name: value.shape for name, value in merged.network.state_dict().items()}
    assert names == {name: value.shape for name, value in backbone.network.state_dict().items()}
    assert not any(parameter.requires_grad for parameter in merged.parameters())


def test_a_backbone_is_changed_unless_it_is_frozen(any_trained, backbone):
    arm, trained = any_trained
    adapted, _, facts = arm.released(trained)
    original = backbone.network.state_dict()
    changed = [
        name for name, value in merge(adapted).network.state_dict().items() if not torch.equal(value, original[name])
    ]
    is_frozen = arm.arm.adapter.kind == "frozen"
    assert (changed == []) is is_frozen
    assert (facts.trainable_in_backbone == 0) is is_frozen


def test_a_frozen_arm_trains_its_head_alone(arm_of):
    trained = arm_of(ADAPTERS[0])(0)
    assert {name.split(".")[0] for name in trained.weights} == {"head"}


def test_query_and_value_of_each_block_are_adapted(arm_of):
    arm = arm_of(LORA)
    trained = arm(0)
    _, _, facts = arm.released(trained)
    assert facts.adapted_layers == 4  # of two blocks
    assert facts.trainable_in_backbone == 4 * 2 * (32 + 32)


def test_scores_of_another_model_than_the_released_one_are_noticed(arm_of, monkeypatch):
    def drifting_step(learner, batches, weights):
        observed = step(learner, batches, weights)
        with torch.no_grad():
            learner.model.backbone.base.network.model.layer[0].mlp.up_proj.weight.mul_(1.2)
        return observed

    step, arm = Learner.step, arm_of(LORA)
    monkeypatch.setattr(Learner, "step", drifting_step)
    _, _, facts = arm.released(arm(0))
    assert max(facts.merged_difference, facts.reloaded_difference) < 1e-5
    assert facts.score_difference > DomainAdaptationAcceptance().max_score_difference


def test_the_range_of_tau_is_that_of_the_trained_layers(arm_of):
    arm = arm_of(ADAPTERS[-1])
    trained = arm(0)
    raw = [value for name, value in trained.weights.items() if name.endswith("raw_tau")]
    taus = torch.nn.functional.softplus(torch.stack(raw)).tolist()
    _, _, facts = arm.released(trained)
    assert facts.tau == pytest.approx((min(taus), max(taus)))
    assert facts.tau[0] < facts.tau[1]


def test_the_batch_size_is_recorded_as_asked_for_and_as_used(arm_of, monkeypatch):
    def rehearse(learner, batch):
        if len(batch[0]) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Learner, "rehearse", rehearse)
    arm = arm_of(ADAPTERS[0])
    training = TRAINING.model_copy(update={"batch": BatchConfig(sizes=(8, 4))})
    smaller = replace(arm, arm=arm.arm.model_copy(update={"training": training}))
    assert smaller(0).batch == UsedBatch(asked=8, used=4)


def test_what_a_training_cost_is_known(any_trained):
    arm, trained = any_trained
    cost, before = trained.cost, arm.untrained(0)
    assert cost.trainable_parameters == sum(p.numel() for p in before.parameters() if p.requires_grad)
    assert cost.seconds > 0
    assert cost.peak_memory_bytes > 2**20


def test_a_training_that_was_stopped_ends_bit_for_bit_as_one_that_was_left_alone(arm_of):
    class Stopped(Exception):
        pass

    def stop(result):
        if result.epoch == 2:
            raise Stopped

    alone = arm_of(LORA, "alone")(0)
    with pytest.raises(Stopped):
        arm_of(LORA, "stopped").telling(stop)(0)
    seen = []
    continued = arm_of(LORA, "stopped").telling(lambda result: seen.append(result.epoch))(0)
    assert seen == [3]
    assert same_weights(alone, continued)
    assert alone.scores.logits.tobytes() == continued.scores.logits.tobytes()


def test_a_finished_training_is_read_and_not_made_again(arm_of):
    first = arm_of(LORA)(0)
    seen = []
    again = arm_of(LORA).telling(lambda result: seen.append(result.epoch))(0)
    assert seen == []
    assert same_weights(first, again)
    assert (again.epoch, again.log, again.cost) == (first.epoch, first.log, first.cost)


def test_checkpoints_of_another_recipe_are_refused(arm_of):
    arm_of(LORA)(0)
    with pytest.raises(CheckpointError, match="another configuration"):
        replace(arm_of(LORA), identity="1" * 64)(0)


def test_augmentation_is_for_training_alone(arm_of):
    plain = arm_of(ADAPTERS[0], "plain")
    plain = replace(plain, shared=plain.shared.model_copy(update={"augment": NoAugment()}))
    arms = [arm_of(ADAPTERS[0], "augmented"), plain]
    trained = [arm(0) for arm in arms]
    assert not same_weights(*trained)
    for arm, one in zip(arms, trained, strict=True):
        adapted, head, _ = arm.released(one)
        rows = arm.select_rows
        as_they_are = predict(
            Classifier(adapted, head), [(rows["id"].to_numpy(dtype=np.str_), pixels_of(rows))], device="cpu"
        )
        np.testing.assert_allclose(as_they_are.logits, one.scores.logits, atol=1e-5)


def test_the_number_of_threads_is_put_back(arm_of):
    before = torch.get_num_threads()
    seen = []
    arm = replace(arm_of(ADAPTERS[0]), threads=before + 1)
    arm.telling(lambda result: seen.append(torch.get_num_threads()))(0)
    assert set(seen) == {before + 1}
    assert torch.get_num_threads() == before


@pytest.mark.slow
def test_worker_processes_give_the_same_bits(arm_of):
    here = [arm_of(LORA, "here")(seed) for seed in (0, 1)]
    elsewhere = list(DaskLocalCompute(workers=2).map(arm_of(LORA, "elsewhere"), (0, 1)))
    for one, other in zip(here, elsewhere, strict=True):
        assert one.seed == other.seed
        assert np.array_equal(one.scores.logits, other.scores.logits)
        assert same_weights(one, other)
