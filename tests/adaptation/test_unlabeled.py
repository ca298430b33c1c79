from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageOps

from stage1_core.adaptation.config import UnlabeledConfig
from stage1_core.adaptation.unlabeled import unlabeled_pictures
from stage1_core.data.config import DataConfig
from stage1_core.data.ledger import split
from stage1_core.data.prepare import prepare
from stage1_core.data.sources.natix_csv import NatixCsvSource
from stage1_core.data.sources.unlabeled import UnlabeledSource
from stage1_core.data.split_config import CutPool
from stage1_core.errors import DataError
from stage1_core.splits import Purpose
from tests.integration.toys import draw_pictures

HELD_OUT = (Purpose.SELECT_MODEL, Purpose.CERTIFY_UNCALIBRATED_POLICY, Purpose.FINAL_EVALUATION)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    """A split of 80 labelled pictures and six unlabeled ones."""
    folder = tmp_path_factory.mktemp("data")
    draw_pictures(folder / "labelled", 80)
    draw_pictures(folder / "own", 6, first_seed=500)
    sources = (
        NatixCsvSource(name="toy", root=folder / "labelled", label_file="labels.csv", image_folder="images"),
        UnlabeledSource(name="own", root=folder / "own"),
    )
    config = DataConfig(sources=sources, split=CutPool(train=0.3, select=0.2, calib=0.35, test=0.15))
    return prepare(config, inspections=folder / "inspections").ledger


@pytest.fixture
def extras(tmp_path):
    """Three pictures that nobody has seen."""
    return draw_pictures(tmp_path / "extras", 3, first_seed=900) / "images"


def found(ledger, tmp_path, *roots, **changes):
    sources = tuple(UnlabeledSource(name=f"extra{number}", root=root) for number, root in enumerate(roots))
    return unlabeled_pictures(ledger, UnlabeledConfig(sources=sources, **changes), inspections=tmp_path / "inspections")


def test_the_ledgers_unlabeled_and_training_pictures_are_used_and_no_held_out_one(ledger, tmp_path):
    pictures = found(ledger, tmp_path)
    held_out = {name for purpose in HELD_OUT for name in ledger.rows(purpose)["sha256"]}

    assert set(pictures.rows["id"]) == {*ledger.unlabeled()["id"], *ledger.rows(Purpose.FIT_WEIGHTS)["id"]}
    assert not held_out & set(pictures.rows["sha256"])
    assert list(pictures.rows.columns) == ["id", "path", "sha256"]


def test_training_pictures_can_be_left_out(ledger, tmp_path):
    assert set(found(ledger, tmp_path, training_pictures=False).rows["id"]) == set(ledger.unlabeled()["id"])


def test_pictures_of_other_folders_are_added_and_broken_ones_set_aside(ledger, tmp_path, extras):
    (extras / "broken.png").write_bytes(b"no picture")
    pictures = found(ledger, tmp_path, extras)

    assert len(pictures.rows) == len(found(ledger, tmp_path).rows) + 3
    assert pictures.bad["id"].tolist() == ["extra0/broken.png"]
    assert pictures.held_out_kin == 0


@pytest.mark.parametrize("purpose", HELD_OUT)
def test_copies_and_look_alikes_of_held_out_pictures_are_left_out(ledger, tmp_path, extras, purpose):
    rows = ledger.rows(purpose)
    shutil.copy(rows["path"].iloc[0], extras / "copy.png")
    with Image.open(rows["path"].iloc[1]) as picture:
        brighter = Image.fromarray((np.asarray(picture) * 0.98).astype(np.uint8))
    brighter.save(extras / "look_alike.png")
    pictures = found(ledger, tmp_path, extras)
    only_copies = found(ledger, tmp_path, extras, near_duplicate_distance=None)

    assert pictures.held_out_kin == 2
    assert not pictures.rows["id"].str.contains("copy|look_alike").any()
    assert only_copies.held_out_kin == 1
    assert only_copies.rows["id"].str.contains("look_alike").any()


def test_pictures_that_were_held_out_by_earlier_ledgers_are_left_out(ledger, tmp_path, extras):
    gone = ledger.rows(Purpose.FINAL_EVALUATION).iloc[0]
    smaller = ledger_without(ledger, gone["id"])
    shutil.copy(gone["path"], extras / "gone.png")

    assert found(smaller, tmp_path, extras).held_out_kin == 1


def test_new_pictures_of_a_group_that_was_held_out_by_an_earlier_ledger_are_left_out_with_their_look_alikes(
    ledger, tmp_path, extras
):
    gone = ledger.rows(Purpose.FINAL_EVALUATION).iloc[0]
    smaller = ledger_without(ledger, gone["id"])
    first = extras / "0000.png"
    with Image.open(first) as picture:
        Image.fromarray((np.asarray(picture) * 0.98).astype(np.uint8)).save(extras / "look_alike.png")
    assert smaller.remembered["group"].tolist() == [gone["group"]]
    renamed = replace(smaller, remembered=smaller.remembered.assign(group="extra0/0000.png"))

    assert found(smaller, tmp_path, extras).held_out_kin == 0
    assert found(renamed, tmp_path, extras).held_out_kin == 2


def test_each_picture_is_used_once(ledger, tmp_path, extras):
    shutil.copy(ledger.rows(Purpose.FIT_WEIGHTS)["path"].iloc[0], extras / "copy_of_training.png")
    pictures = found(ledger, tmp_path, extras, extras.parent)

    assert pictures.rows["sha256"].is_unique
    assert len(pictures.rows) == len(found(ledger, tmp_path).rows) + 3


def test_the_same_pictures_have_the_same_digest_and_others_another(ledger, tmp_path, extras):
    first = found(ledger, tmp_path, extras).digest()
    assert found(ledger, tmp_path, extras).digest() == first
    with Image.open(extras / "0000.png") as picture:
        changed = ImageOps.invert(picture)
    changed.save(extras / "0000.png")

    assert found(ledger, tmp_path, extras).digest() != first


def test_nothing_to_look_at_is_refused(ledger, tmp_path):
    labelled_only = ledger_without(ledger, *ledger.unlabeled()["id"])

    with pytest.raises(DataError, match="there is no picture to pretrain on"):
        found(labelled_only, tmp_path, training_pictures=False)


def ledger_without(ledger, *ids):
    """A later ledger that lacks these pictures."""
    samples = ledger.samples[~ledger.samples["id"].isin(ids)].drop(columns=["split", "half"])
    return split(samples.reset_index(drop=True), ledger.config, earlier=ledger)
