from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from stage1_core.data.loading import EpochSampler, PicturesDataset, batches, generator_of, picture_loader
from stage1_core.data.transforms import AggressiveAugment, Letterbox
from stage1_core.digests import digest_of_file
from stage1_core.errors import DataError

EVALUATION = Letterbox(size_px=16)


@pytest.fixture
def rows(tmp_path: Path) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{number}.png" for number in range(7)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (12, 20, 3), dtype=np.uint8)).save(path)
    return pd.DataFrame({"path": [str(path) for path in paths], "sha256": [digest_of_file(path) for path in paths]})


def epoch_of(rows: pd.DataFrame, epoch: int, *, workers: int = 0, seed: int = 5, shuffle: bool = True):
    dataset = PicturesDataset(rows, EVALUATION, augment=AggressiveAugment(), seed=seed)
    loader = picture_loader(dataset, batch_size=3, shuffle=shuffle, seed=seed, workers=workers)
    loader.sampler.set_epoch(epoch)
    return list(batches(loader))


def same(first, second) -> bool:
    return all(torch.equal(a, b) for one, two in zip(first, second, strict=True) for a, b in zip(one, two, strict=True))


def test_every_row_comes_once_an_epoch(rows):
    seen = torch.cat([numbers for _, numbers in epoch_of(rows, 0)])

    assert sorted(seen.tolist()) == list(range(7))


def test_unshuffled_rows_come_in_order(rows):
    seen = torch.cat([numbers for _, numbers in epoch_of(rows, 0, shuffle=False)])

    assert seen.tolist() == list(range(7))


def test_an_epoch_depends_on_seed_and_epoch_alone(rows):
    torch.manual_seed(1)
    first = epoch_of(rows, 2)
    torch.manual_seed(99)

    assert same(epoch_of(rows, 2), first)
    assert not same(epoch_of(rows, 3), first)
    assert not same(epoch_of(rows, 2, seed=6), first)


def test_worker_processes_give_the_same_batches_in_every_epoch(rows):
    dataset = PicturesDataset(rows, EVALUATION, augment=AggressiveAugment(), seed=5)
    loader = picture_loader(dataset, batch_size=3, shuffle=True, seed=5, workers=1)
    for epoch in (0, 1):
        loader.sampler.set_epoch(epoch)
        assert same(list(batches(loader)), epoch_of(rows, epoch))


def test_loading_leaves_the_global_generator_alone(rows):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    epoch_of(rows, 0)

    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_picture_is_one_line_naming_the_file(rows, workers):
    path = Path(rows["path"][4])
    path.write_bytes(path.read_bytes()[:40])

    with pytest.raises(DataError) as caught:
        epoch_of(rows, 0, workers=workers)

    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not str(caught.value).startswith("stage1_core")


def test_rows_without_digests_are_not_checked(rows):
    pixels, number = PicturesDataset(rows.drop(columns="sha256"), EVALUATION)[2]

    assert number == 2
    assert torch.equal(pixels, EVALUATION.apply(Image.open(rows["path"][2])))


def test_the_sampler_sends_its_epoch_with_each_row():
    sampler = EpochSampler(3, seed=0, shuffle=False)
    sampler.set_epoch(4)

    assert list(sampler) == [(0, 4), (1, 4), (2, 4)]


def test_generators_of_different_numbers_differ():
    draws = {tuple(torch.rand(2, generator=generator_of(*key)).tolist()) for key in [(0, 1), (1, 0), (0, 1, 0), (1,)]}

    assert len(draws) == 4
