"""`stage1 sweep`: the same training under several seeds, on training and selection rows alone."""

from __future__ import annotations

import json

import numpy as np
import pytest

from stage1_cli.sweep import parse_seeds
from stage1_core.data.features import FeatureStore
from stage1_core.data.prepare import prepare
from stage1_core.errors import Stage1Error
from stage1_core.model.weights import backbone_digest
from stage1_core.splits import Purpose

READ = (Purpose.FIT_WEIGHTS, Purpose.SELECT_MODEL)
NOT_READ = (Purpose.CERTIFY_UNCALIBRATED_POLICY, Purpose.FINAL_EVALUATION)


def test_every_seed_is_shown_with_mean_and_standard_deviation(stage1, config_file):
    code, out, err = stage1("sweep", "--config", config_file, "--seeds", "0-2", "--json")
    assert (code, err) == (0, "")
    shown = json.loads(out)
    accuracies = [result["metrics"]["accuracy"] for result in shown["seeds"]]
    assert [result["seed"] for result in shown["seeds"]] == [0, 1, 2]
    assert shown["accuracy"]["n"] == 3
    assert shown["accuracy"]["mean"] == pytest.approx(np.mean(accuracies))
    assert shown["accuracy"]["standard_deviation"] == pytest.approx(np.std(accuracies, ddof=1))

    code, table, _ = stage1("sweep", "--config", config_file, "--seeds", "0-2")
    assert code == 0
    assert f"AUGRC {shown['augrc']['mean']:.4f} ± {shown['augrc']['standard_deviation']:.4f} (n = 3 seeds)" in table
    assert all(result["head_digest"][:12] in table for result in shown["seeds"])


def test_pictures_of_calibration_and_test_are_not_computed(stage1, config, config_file, tmp_path):
    assert stage1("sweep", "--config", config_file, "--seeds", "4").code == 0
    assert not list((tmp_path / "workspace" / "ledgers").glob("*"))
    ledger = prepare(config.data, inspections=tmp_path / "workspace" / "inspections").ledger
    store = FeatureStore.open(
        tmp_path / "workspace" / "features",
        backbone_digest=backbone_digest(config.backbone),
        transform_digest=config.transform.digest(),
    )
    assert store is not None
    for purpose in READ:
        assert store.missing(ledger.rows(purpose)["sha256"].tolist()) == []
    for purpose in NOT_READ:
        images = ledger.rows(purpose)["sha256"].tolist()
        assert store.missing(images) == images != []


def test_seeds_are_numbers_and_ranges():
    assert parse_seeds("0-3") == (0, 1, 2, 3)
    assert parse_seeds("7, 1-2") == (7, 1, 2)


@pytest.mark.parametrize("text", ["", "a", "-1", "1-", "3-1", "1,1", "0-3,2", "0-99999999999"])
def test_other_seeds_are_refused_with_an_example(text):
    with pytest.raises(Stage1Error, match=r"write .*0-9"):
        parse_seeds(text)


def test_a_place_that_is_none_is_refused_before_any_work(stage1, config_file, monkeypatch):
    monkeypatch.setenv("STAGE1_COMPUTE", "everywhere")
    code, _, err = stage1("sweep", "--config", config_file)
    assert code == 2
    assert "STAGE1_COMPUTE is 'everywhere'" in err
