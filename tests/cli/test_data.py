"""`stage1 data audit`, `stage1 data split`, `stage1 data import`."""

from __future__ import annotations

import shutil

import pytest
import torch
import yaml

from stage1_core.data.audit_report import AuditReport
from stage1_core.data.ledger import SplitLedger
from stage1_core.data.split_summary import SplitSummary
from stage1_core.model.head import HeadConfig, build_head
from stage1_core.model.head_files import load_head
from stage1_core.splits import Purpose


def test_an_audit_shows_every_source(stage1, config_file):
    code, out, err = stage1("data", "audit", "--config", config_file)
    assert (code, err) == (0, "")
    assert "toy" in out
    assert "80" in out


def test_the_data_part_alone_is_a_configuration_too(stage1, config, tmp_path):
    path = tmp_path / "data.yaml"
    path.write_text(yaml.safe_dump(config.data.model_dump(mode="json")))
    assert stage1("data", "audit", "--config", path).code == 0


def test_data_that_must_not_be_trained_on_are_refused_with_the_reason(stage1, config, drawn, tmp_path, write_config):
    copy = shutil.copytree(drawn, tmp_path / "copy")
    for number in range(5):
        (copy / "images" / f"{number:04}.png").write_bytes(b"no picture")
    source = config.data.sources[0].model_copy(update={"root": copy})
    data = config.data.model_copy(update={"sources": (source,)})
    code, out, err = stage1("data", "audit", "--config", write_config(config.model_copy(update={"data": data})))
    assert code == 2
    assert "broken: toy/images/0000.png" in out
    assert err.startswith("stage1: ")


def test_a_split_is_written_with_its_summary_and_audit(stage1, config_file, tmp_path):
    code, out, _ = stage1("data", "split", "--config", config_file, "--to", tmp_path / "split")
    assert code == 0
    ledger = SplitLedger.load(tmp_path / "split")
    assert SplitSummary.from_json_file(tmp_path / "split" / "splits.json").ledger_digest == ledger.digest
    assert AuditReport.from_json_file(tmp_path / "split" / "audit.json").refusals == ()
    rows = ledger.rows(Purpose.FIT_WEIGHTS)
    assert f"train: {(rows['label'] == 1).sum()} with and {(rows['label'] == 0).sum()} without" in out


@pytest.fixture
def legacy_head(tmp_path):
    head = build_head(32, HeadConfig(hidden=16, dropout=0.3), seed=1)
    layers = {"0": head.trunk, "3": head.classes}
    state = {f"{n}.{name}": value for n, layer in layers.items() for name, value in layer.state_dict().items()}
    path = tmp_path / "classifier_head.pth"
    torch.save(state, path)
    return path, head


def test_a_historical_head_is_imported_with_its_weights(stage1, legacy_head, tmp_path):
    path, head = legacy_head
    code, out, err = stage1("data", "import", path, "--to", tmp_path / "head", "--dropout", "0.3")
    assert (code, err) == (0, "")
    assert "32 features, 16 hidden units" in out
    found = load_head(tmp_path / "head")
    assert all(torch.equal(value, found.state_dict()[name]) for name, value in head.state_dict().items())


def test_a_file_that_is_no_head_is_an_error(stage1, tmp_path):
    (tmp_path / "head.pth").write_bytes(b"nothing")
    code, _, err = stage1("data", "import", tmp_path / "head.pth", "--to", tmp_path / "head")
    assert code == 2
    assert "head.pth" in err
    assert not (tmp_path / "head").exists()
