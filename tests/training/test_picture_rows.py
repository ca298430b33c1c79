from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from stage1_core.data.loading import PicturesDataset
from stage1_core.data.transforms import ModerateAugment, ResizeCenterCrop
from stage1_core.errors import DataError
from stage1_core.model.classifier import Classifier
from stage1_core.model.head import HeadConfig, build_head
from stage1_core.splits import Purpose
from stage1_core.training.batching import BatchConfig
from stage1_core.training.loop import train
from stage1_core.training.optimizer import AdamWConfig
from stage1_core.training.picture_rows import PictureRows
from tests.training.toys import training

EVALUATION = ResizeCenterCrop(resize_px=20, crop_px=16)


class GridColours(torch.nn.Module):
    """A frozen backbone: mean colours of a 2 x 2 grid."""

    def forward(self, pixels):
        return torch.nn.functional.adaptive_avg_pool2d(pixels, 2).flatten(1)


@pytest.fixture
def pictures(tmp_path, rng):
    """Thirty noisy pictures; those of class 1 are redder."""
    labels = np.arange(30) % 2
    paths = []
    for index, label in enumerate(labels):
        pixels = rng.integers(0, 160, size=(24, 28, 3), dtype=np.uint8)
        pixels[..., 0] += np.uint8(70 * label)
        paths.append(tmp_path / f"{index}.png")
        Image.fromarray(pixels).save(paths[-1])
    return pd.DataFrame({"path": [str(path) for path in paths], "label": labels})


def rows_of(pictures, purpose, augment=None, workers=0):
    dataset = PicturesDataset(pictures, EVALUATION, augment=augment, seed=3)
    ids = np.array([f"{purpose}/{index}" for index in range(len(pictures))])
    return PictureRows(purpose, ids, pictures["label"].to_numpy(dtype=np.int64), dataset, workers=workers)


def classifier():
    return Classifier(GridColours(), build_head(12, HeadConfig(hidden=16), seed=0))


def run(pictures, state=None, epochs=4):
    fit = rows_of(pictures, Purpose.FIT_WEIGHTS, ModerateAugment())
    select = rows_of(pictures, Purpose.SELECT_MODEL)
    config = training(epochs=epochs, batch=BatchConfig(sizes=(4,)), optimizer=AdamWConfig(lr_head=0.02))
    return train(classifier(), fit, select, config, state=state)


def test_a_head_is_trained_end_to_end_on_augmented_pictures(pictures):
    *_, last = run(pictures, epochs=12)
    assert last.metrics.accuracy > 0.9
    assert all(name.startswith("head.") for name in last.state().weights)


def test_end_to_end_training_continues_bit_for_bit(pictures):
    whole = [result.state() for result in run(pictures)]
    *_, last = run(pictures, state=whole[1])
    continued = last.state()
    assert all(torch.equal(value, continued.weights[name]) for name, value in whole[-1].weights.items())


def test_augmentation_depends_on_epoch_and_row_alone(pictures):
    rows = rows_of(pictures, Purpose.FIT_WEIGHTS, ModerateAugment())
    (first, targets), (again, _) = rows.batches([np.array([3, 4]), np.array([4, 3])], epoch=1)
    (later, _) = next(rows.batches([np.array([3, 4])], epoch=2))
    assert torch.equal(first, again.flip(0))
    assert not torch.equal(first, later)
    assert targets.labels.tolist() == [1, 0]
    assert targets.held_out_correct is None


@pytest.mark.slow
def test_worker_processes_give_the_same_batches_and_outlive_an_epoch(pictures):
    alone = rows_of(pictures, Purpose.FIT_WEIGHTS, ModerateAugment())
    shared = rows_of(pictures, Purpose.FIT_WEIGHTS, ModerateAugment(), workers=1)
    for epoch in (1, 2):
        plan = [np.array([5, 1, 9]), np.array([2])]
        for (a, targets_a), (b, targets_b) in zip(
            alone.batches(plan, epoch=epoch), shared.batches(plan, epoch=epoch), strict=True
        ):
            assert torch.equal(a, b)
            assert torch.equal(targets_a.labels, targets_b.labels)


def test_a_label_too_few_is_refused(pictures):
    with pytest.raises(DataError, match="30 pictures, 29 labels and 30 ids"):
        PictureRows(
            Purpose.FIT_WEIGHTS,
            np.array([str(index) for index in range(30)]),
            np.zeros(29, dtype=np.int64),
            PicturesDataset(pictures, EVALUATION),
        )
