"""Adapters in real trainings: backbone and head fitted end to end on pictures, killed, continued, merged."""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from stage1_core.data.loading import PicturesDataset
from stage1_core.data.transforms import ResizeCenterCrop
from stage1_core.errors import CheckpointError
from stage1_core.model.adapters.adapted import adapt, merge, trainable_census
from stage1_core.model.adapters.config import (
    DoraAdapterConfig,
    DoranAdapterConfig,
    FrozenBackboneConfig,
    FullFineTuningConfig,
    LoraAdapterConfig,
)
from stage1_core.model.adapters.files import load_adapter, save_adapter
from stage1_core.model.classifier import Classifier, predict
from stage1_core.model.head import HeadConfig, build_head
from stage1_core.splits import Purpose
from stage1_core.training.batching import BatchConfig
from stage1_core.training.checkpoint import latest_good
from stage1_core.training.optimizer import AdamWConfig
from stage1_core.training.picture_rows import PictureRows
from stage1_core.training.session import run_training
from tests.training.toys import training

EVALUATION = ResizeCenterCrop(resize_px=32, crop_px=32)
LOW_RANK = {"rank": 4, "dropout": 0.3, "gradient_checkpointing": True}
CONFIGS = (
    FullFineTuningConfig(last_blocks=1),
    LoraAdapterConfig(**LOW_RANK),
    DoraAdapterConfig(**LOW_RANK),
    DoranAdapterConfig(**LOW_RANK),
)
each_config = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.kind)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Forty noisy pictures; those of class 1 are striped, at the same mean colour."""
    folder, draw = tmp_path_factory.mktemp("pictures"), np.random.default_rng(7)
    labels = np.arange(40) % 2
    for index, label in enumerate(labels):
        pixels = draw.integers(60, 180, size=(32, 32, 3))
        pixels += 40 * label * (2 * (np.arange(32) // 4 % 2) - 1)[:, None, None]
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{index}.png")
    return pd.DataFrame({"path": [str(folder / f"{index}.png") for index in range(40)], "label": labels})


def rows_of(pictures, purpose):
    ids = np.array([f"{purpose}/{index}" for index in range(len(pictures))])
    labels = pictures["label"].to_numpy(dtype=np.int64)
    return PictureRows(purpose, ids, labels, PicturesDataset(pictures, EVALUATION), workers=0)


def classifier(backbone, config):
    return Classifier(adapt(backbone, config, seed=2), build_head(backbone.hidden, HeadConfig(hidden=16), seed=0))


def run(model, pictures, folder, *, epochs=4, on_update=None):
    config = training(
        epochs=epochs, batch=BatchConfig(sizes=(10,)), optimizer=AdamWConfig(lr_head=4e-3, lr_backbone=2e-3)
    )
    fit, select = (rows_of(pictures, purpose) for purpose in (Purpose.FIT_WEIGHTS, Purpose.SELECT_MODEL))
    return run_training(model, fit, select, config, folder, identity="toy", on_update=on_update)


def batches(pictures):
    rows = rows_of(pictures, Purpose.SELECT_MODEL)
    inputs, _ = next(rows.batches([np.arange(len(pictures))], epoch=1))
    return [(rows.ids, inputs)]


class Killed(Exception):
    pass


def killed_in_epoch(epoch):
    calls = 0

    def on_update(made, of):
        nonlocal calls
        calls += 1
        if calls == (epoch - 1) * of + 2:
            raise Killed

    return on_update


@each_config
def test_a_training_that_was_killed_ends_bit_for_bit_as_one_that_was_left_alone(
    backbone_of, config, pictures, tmp_path
):
    whole, killed, continued = (classifier(backbone_of("dinov3"), config) for _ in range(3))
    expected = run(whole, pictures, tmp_path / "whole")
    with pytest.raises(Killed):
        run(killed, pictures, tmp_path / "killed", on_update=killed_in_epoch(3))
    assert latest_good(tmp_path / "killed", config_digest="toy").epoch == 2
    found = run(continued, pictures, tmp_path / "killed")
    for name in ("weights", "averages"):
        ours, theirs = getattr(found, name), getattr(expected, name)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), continued.parameters(), strict=True))


@each_config
def test_checkpoints_hold_what_is_trained_and_nothing_of_the_frozen_backbone(backbone_of, config, pictures, tmp_path):
    model = classifier(backbone_of("dinov3"), config)
    frozen = {name: value.clone() for name, value in model.named_parameters() if not value.requires_grad}
    begun = {name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad}
    run(model, pictures, tmp_path, epochs=2)
    stored = latest_good(tmp_path, config_digest="toy")
    sizes = {name: value.numel() for name, value in stored.weights.items()}
    assert sizes == trainable_census(model)
    assert {name.split(".")[0] for name in sizes} == {"backbone", "head"}
    assert all(torch.equal(value, frozen[name]) for name, value in model.named_parameters() if name in frozen)
    moved = [name for name, value in model.named_parameters() if name in begun and not torch.equal(value, begun[name])]
    assert moved == list(begun)


@each_config
def test_head_and_backbone_are_trained_at_rates_of_their_own(backbone_of, config, pictures, tmp_path):
    model = classifier(backbone_of("dinov3"), config)
    state = run(model, pictures, tmp_path, epochs=1)
    head, *backbone = state.optimizer["param_groups"]
    assert [group["lr"] for group in backbone] == pytest.approx([head["lr"] / 2] * len(backbone))
    assert sum(len(group["params"]) for group in backbone) == sum(
        name.startswith("backbone.") for name in trainable_census(model)
    )


@each_config
def test_what_was_trained_is_merged_and_saved_with_the_scores_it_had(backbone_of, config, pictures, tmp_path):
    backbone = backbone_of("dinov3")
    model = classifier(backbone, config)
    run(model, pictures, tmp_path / "run", epochs=12)
    scores = predict(model, batches(pictures), device="cpu")
    assert (scores.logits.argmax(1) == pictures["label"].to_numpy()).mean() > 0.9

    merged = predict(Classifier(merge(model.backbone), model.head), batches(pictures), device="cpu")
    np.testing.assert_allclose(merged.logits, scores.logits, atol=1e-4)
    save_adapter(model.backbone, tmp_path / "adapter")
    loaded = Classifier(load_adapter(backbone, tmp_path / "adapter"), model.head)
    np.testing.assert_array_equal(predict(loaded, batches(pictures), device="cpu").logits, scores.logits)


def test_a_checkpoint_of_another_variant_is_refused(backbone_of, pictures, tmp_path):
    run(classifier(backbone_of("dinov3"), DoranAdapterConfig(**LOW_RANK)), pictures, tmp_path, epochs=1)
    with pytest.raises(CheckpointError, match="weights and model differ"):
        run(classifier(backbone_of("dinov3"), DoraAdapterConfig(**LOW_RANK)), pictures, tmp_path, epochs=2)


def test_a_frozen_backbone_gives_what_a_head_on_the_plain_one_gives(backbone_of, pictures, tmp_path):
    backbone = backbone_of("dinov3")
    ours = classifier(backbone, FrozenBackboneConfig())
    plain = Classifier(copy.deepcopy(backbone), build_head(backbone.hidden, HeadConfig(hidden=16), seed=0))
    found, expected = (run(model, pictures, tmp_path / name) for model, name in ((ours, "ours"), (plain, "plain")))
    assert found.weights.keys() == expected.weights.keys()
    assert all(torch.equal(value, expected.weights[name]) for name, value in found.weights.items())
