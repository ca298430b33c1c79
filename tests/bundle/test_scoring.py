"""A bundle over ledger rows: the same logits as picture by picture, each picture seen once."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from stage1_core.bundle.golden import LOGIT_TOLERANCE
from stage1_core.bundle.runtime import load_bundle
from stage1_core.bundle.scoring import score_rows
from stage1_core.data.ledger import CutPool, SplitLedger, split
from stage1_core.digests import digest_of_file
from stage1_core.errors import DataError
from stage1_core.splits import Purpose
from tests.data.sample_rows import sample_rows

FINAL = Purpose.FINAL_EVALUATION
ROUNDING = LOGIT_TOLERANCE / 10
"""Folding batch norms moves logits of this toy by some 1e-6."""


@pytest.fixture(scope="module")
def stage1(released):
    return load_bundle(released)


@pytest.fixture(scope="module")
def gated(gate_released):
    return load_bundle(gate_released)


@pytest.fixture
def ledger(pictures, tmp_path) -> SplitLedger:
    """24 drawn pictures, two of them a group, over four splits."""
    copies = [Path(shutil.copy(picture, tmp_path)) for picture in pictures]
    rows = sample_rows([row // 2 % 2 for row in range(24)], groups=[f"drive{row // 2}" for row in range(24)])
    made = rows.assign(path=[str(path) for path in copies], sha256=[digest_of_file(path) for path in copies])
    return split(made, CutPool(train=0.17, select=0.17, calib=0.33, test=0.33))


def final_paths(ledger: SplitLedger) -> list[Path]:
    return [Path(path) for path in ledger.rows(FINAL)["path"]]


@pytest.mark.parametrize("batch_size", [None, 1, 4])
def test_the_logits_are_those_of_the_bundle_picture_by_picture(stage1, ledger, tmp_path, batch_size):
    made = score_rows(stage1, ledger, FINAL, store_folder=tmp_path / "features", batch_size=batch_size)
    expected = stage1.scores(final_paths(ledger))
    assert len(made) > 3
    np.testing.assert_allclose(made.scores.logits, expected.logits, atol=ROUNDING)
    assert np.ptp(expected.margin_logits) > 100 * ROUNDING


def test_a_gated_bundle_keeps_its_gate_and_stage_b(gated, ledger, tmp_path):
    made = score_rows(gated, ledger, FINAL, store_folder=tmp_path / "features").scores
    expected = gated.scores(final_paths(ledger))
    np.testing.assert_allclose(made.gate_logits, expected.gate_logits, atol=ROUNDING)
    np.testing.assert_allclose(made.aux_logits, expected.aux_logits, atol=ROUNDING)


def test_rows_come_in_the_order_of_the_ledger_with_what_is_known_of_them(stage1, ledger, tmp_path):
    rows = ledger.rows(FINAL)
    made = score_rows(stage1, ledger, FINAL, store_folder=tmp_path / "features")
    assert made.purpose is FINAL
    assert made.scores.ids.tolist() == rows["id"].tolist()
    assert made.labels.tolist() == rows["label"].tolist()
    assert made.groups.tolist() == rows["group"].tolist()


def test_another_bundle_with_this_backbone_computes_no_feature_again(stage1, gated, ledger, tmp_path):
    score_rows(stage1, ledger, FINAL, store_folder=tmp_path / "features")
    expected = gated.scores(final_paths(ledger))
    for path in final_paths(ledger):
        path.unlink()
    made = score_rows(gated, ledger, FINAL, store_folder=tmp_path / "features")
    np.testing.assert_allclose(made.scores.logits, expected.logits, atol=ROUNDING)


def test_a_picture_that_has_changed_since_the_audit_is_refused(stage1, ledger, pictures, tmp_path):
    changed, *_ = final_paths(ledger)
    shutil.copy(next(picture for picture in pictures if picture.name != changed.name), changed)
    with pytest.raises(DataError, match=f"{changed.name} has changed"):
        score_rows(stage1, ledger, FINAL, store_folder=tmp_path / "features")


def test_progress_ends_at_the_number_of_pictures(stage1, ledger, tmp_path):
    seen = []
    made = score_rows(
        stage1,
        ledger,
        FINAL,
        store_folder=tmp_path / "features",
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[-1] == (len(made), len(made))
