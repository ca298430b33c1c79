"""`stage1 evaluate`: a bundle on labelled pictures of one's own."""

from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest
import yaml

from stage1_cli._configuration import read_data_config
from stage1_core.bundle.release import release_bundle
from stage1_core.bundle.runtime import load_bundle
from stage1_core.data.predictions_table import read_predictions
from stage1_core.data.prepare import prepare
from stage1_core.metrics.suite import Evaluation
from stage1_core.splits import Purpose
from tests.bundle.toys import LONG_AGO, gated_contents, no_exit_policy, toy_contents

FAST = ("--resamples", "100")
LABELS = {f"{number:03}.png": number % 2 for number in range(24)}


def data_config(folder, labels, path, **audit):
    """A data configuration of the pictures in ``folder``, three to a site; written to ``path``."""
    path.parent.mkdir(exist_ok=True)
    listed = path.with_suffix(".csv")
    lines = [f"{name},{label},site{number // 3}" for number, (name, label) in enumerate(labels.items())]
    listed.write_text("\n".join(["path,label,site", *lines]) + "\n")
    source = {"kind": "csv", "name": "own", "root": str(folder), "label_file": str(listed), "group_column": "site"}
    config = {"sources": [source], "audit": {"near_duplicate_distance": None} | audit}
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture
def pictures(released):
    return released.parent / "run" / "pictures"


@pytest.fixture
def data(pictures, tmp_path):
    return data_config(pictures, LABELS, tmp_path / "own" / "data.yaml")


def test_the_counts_are_those_of_the_bundles_decisions(stage1, released, pictures, data):
    code, out, _ = stage1("evaluate", released, data, "--json", *FAST)
    found = Evaluation.model_validate_json(out)
    decisions = load_bundle(released).decide([pictures / name for name in LABELS])
    exited = [(made.label, label) for made, label in zip(decisions, LABELS.values(), strict=True) if made.exited]
    counted = found.exits_on_all_rows
    assert code == 0
    assert 0 < len(exited) < 24
    assert (counted.coverage.events, counted.coverage.trials) == (len(exited), 24)
    assert counted.fnr_on_exited.trials == sum(label == 1 for _, label in exited)
    assert counted.fnr_on_exited.events == sum(called == 0 and label == 1 for called, label in exited)
    assert found.exits.coverage.trials == 8  # sites, which all have both classes
    assert found.model.rows == 24
    assert [part.source for part in found.sources] == ["own"]


def test_logits_are_kept_for_later(stage1, released, pictures, data, tmp_path):
    kept = tmp_path / "rows.npz"
    code, out, _ = stage1("evaluate", released, data, "--json", "--predictions", kept, *FAST)
    rows = read_predictions(kept)
    expected = load_bundle(released).scores([pictures / name for name in LABELS])
    assert code == 0
    assert rows.scores.ids.tolist() == [f"own/{name}" for name in LABELS]
    assert rows.labels.tolist() == list(LABELS.values())
    np.testing.assert_allclose(rows.scores.logits, expected.logits, atol=1e-5)
    threshold = json.loads((released / "thresholds.json").read_text())["exit_threshold"]
    assert stage1("metrics", kept, "--json", "--exit-threshold", repr(threshold), *FAST).out == out


def test_the_same_command_again_gives_the_same_file(stage1, released, data, tmp_path):
    written = tmp_path / "out.json"
    contents = []
    for _ in range(2):
        assert stage1("evaluate", released, data, "--output", written, *FAST).code == 0
        contents.append(written.read_bytes())
    assert contents[0] == contents[1]
    assert list(tmp_path.glob("*.part")) == []


def test_tables_are_shown_and_the_numbers_are_put_in_their_place(stage1, released, data):
    code, out, err = stage1("evaluate", released, data, *FAST)
    assert code == 0
    assert "FNR on exited" in out
    assert "own" in out
    assert "these numbers describe these pictures" in err
    assert "24 rows in 8 groups" in err


def test_a_phases_whole_configuration_serves_as_data(stage1, released, config_file):
    code, out, _ = stage1("evaluate", released, config_file, "--json", *FAST)
    assert code == 0
    assert json.loads(out)["model"]["rows"] == 160


def test_the_batch_size_changes_nothing_that_is_counted(stage1, released, data):
    outcomes = [stage1("evaluate", released, data, "--json", "--batch-size", size, *FAST) for size in (1, 7, 32)]
    counts = [json.loads(made.out)["exits"] for made in outcomes]
    assert counts[0] == counts[1] == counts[2]


def test_broken_pictures_are_named_counted_and_left_out(stage1, released, pictures, tmp_path):
    copy = shutil.copytree(pictures, tmp_path / "copy")
    (copy / "005.png").write_bytes(b"no picture")
    data = data_config(copy, LABELS, tmp_path / "own" / "data.yaml", max_bad_fraction=0.1)
    code, out, err = stage1("evaluate", released, data, "--json", *FAST)
    assert code == 0
    assert json.loads(out)["model"]["rows"] == 23
    assert "broken: own/005.png" in err
    assert "1 of 24 pictures cannot be opened and are left out" in err


def test_too_many_broken_pictures_are_an_error(stage1, released, pictures, tmp_path):
    copy = shutil.copytree(pictures, tmp_path / "copy")
    (copy / "005.png").write_bytes(b"no picture")
    data = data_config(copy, LABELS, tmp_path / "own" / "data.yaml", max_bad_fraction=0.01)
    code, out, err = stage1("evaluate", released, data, "--output", tmp_path / "out.json", *FAST)
    assert (code, out) == (2, "")
    assert "1 of 24 pictures cannot be opened" in err.splitlines()[-1]
    assert not (tmp_path / "out.json").exists()


def test_pictures_without_label_are_not_counted(stage1, released, pictures, tmp_path):
    labels = LABELS | dict.fromkeys(list(LABELS)[:4], -1)
    data = data_config(pictures, labels, tmp_path / "own" / "data.yaml")
    assert json.loads(stage1("evaluate", released, data, "--json", *FAST).out)["model"]["rows"] == 20
    data = data_config(pictures, dict.fromkeys(LABELS, -1), tmp_path / "none" / "data.yaml")
    code, _, err = stage1("evaluate", released, data)
    assert code == 2
    assert "none of 24 pictures has a label" in err


def test_training_and_validation_sources_are_evaluated_together(stage1, released, pictures, tmp_path):
    names, sources = list(LABELS), []
    for role, some in (("train", names[::2]), ("val", names[1::2])):
        path = data_config(pictures, {name: LABELS[name] for name in some}, tmp_path / role / "data.yaml")
        sources.append(yaml.safe_load(path.read_text())["sources"][0] | {"name": role, "role": role})
    both = tmp_path / "both.yaml"
    both.write_text(yaml.safe_dump({"sources": sources}))
    code, out, _ = stage1("evaluate", released, both, "--json", *FAST)
    assert code == 0
    assert [part["model"]["rows"] for part in json.loads(out)["sources"]] == [12, 12]


@pytest.fixture(scope="module")
def made_from(tmp_path_factory):
    """A bundle, the configuration of the pictures that it was made from, and their split."""
    place = tmp_path_factory.mktemp("made-from")
    (place / "run").mkdir()
    contents = toy_contents(place / "run")
    path = data_config(place / "run" / "pictures", LABELS, place / "own" / "data.yaml")
    config = yaml.safe_load(path.read_text())
    del config["sources"][0]["group_column"]  # eight sites are too few to cut
    config["split"] = {"kind": "cut_pool", "train": 0.25, "select": 0.25, "calib": 0.25, "test": 0.25}
    path.write_text(yaml.safe_dump(config))
    ledger = prepare(read_data_config(path), inspections=place / "inspections").ledger
    release_bundle(dataclasses.replace(contents, splits=ledger.summary()), place / "bundle", created_at=LONG_AGO)
    return place / "bundle", path, ledger


def test_pictures_that_the_bundle_was_made_from_are_recognised(stage1, made_from):
    bundle, data, _ = made_from
    code, _, err = stage1("evaluate", bundle, data, *FAST)
    assert code == 0
    assert "the bundle was made from source 'own', these very pictures" in err
    assert "train 6, val_select 6, val_calib 6, val_test 6" in err


def test_the_rows_of_one_purpose_are_recognised(stage1, made_from, tmp_path):
    bundle, _, ledger = made_from
    rows = ledger.rows(Purpose.FINAL_EVALUATION)
    labels = {path.rpartition("/")[2]: label for path, label in zip(rows["path"], rows["label"], strict=True)}
    own = data_config(bundle.parent / "run" / "pictures", labels, tmp_path / "own" / "data.yaml")
    _, _, err = stage1("evaluate", bundle, own, *FAST)
    assert "exactly the rows that the bundle was made with for final_evaluation" in err
    assert "these very pictures" not in err


def test_strange_pictures_are_not_said_to_be_known(stage1, released, data):
    _, _, err = stage1("evaluate", released, data, *FAST)
    assert "made from" not in err
    assert "made with" not in err


def test_a_bundle_that_lets_nothing_exit_says_so(stage1, tmp_path, data):
    (tmp_path / "run").mkdir()
    contents = dataclasses.replace(toy_contents(tmp_path / "run"), policy=no_exit_policy())
    release_bundle(contents, tmp_path / "bundle", created_at=LONG_AGO)
    code, out, err = stage1("evaluate", tmp_path / "bundle", data, "--json", *FAST)
    assert code == 0
    assert json.loads(out)["exits"]["coverage"]["events"] == 0
    assert "the bundle lets nothing exit: no exit:" in err


def test_the_stages_of_a_gated_bundle_are_counted_apart(stage1, tmp_path, data):
    (tmp_path / "run").mkdir()
    release_bundle(gated_contents(tmp_path / "run"), tmp_path / "bundle", created_at=LONG_AGO)
    kept = tmp_path / "rows.npz"
    found = json.loads(stage1("evaluate", tmp_path / "bundle", data, "--json", "--predictions", kept, *FAST).out)
    answered = {stage: counts["answered"] for stage, counts in found["cascade"].items()}
    assert answered["stage_a"] == found["exits"]["coverage"]
    assert answered["stage_b"]["events"] == found["exits"]["rejection"]["events"] > 0
    assert answered["together"]["events"] == answered["together"]["trials"] == 8
    assert read_predictions(kept).scores.aux_logits.shape == (24, 2)
    code, out, _ = stage1("evaluate", tmp_path / "bundle", data, *FAST)
    assert code == 0
    assert "B: the rest" in out
    assert "AUGRC by gate" in out


def only_line(outcome) -> str:
    assert (outcome.code, outcome.out) == (2, "")
    (line,) = outcome.err.strip().splitlines()
    assert line.startswith("stage1: ")
    return line


def test_a_folder_that_is_no_bundle(stage1, data, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "bundle.json" in only_line(stage1("evaluate", tmp_path / "empty", data))


def test_a_tampered_bundle_is_not_evaluated(stage1, tampered, data):
    assert "was changed after the bundle was sealed" in only_line(stage1("evaluate", tampered, data))


def test_a_configuration_that_is_missing_or_something_else(stage1, released, tmp_path):
    assert "does not exist" in only_line(stage1("evaluate", released, tmp_path / "absent.yaml"))
    (tmp_path / "data.yaml").write_text("[]")
    assert "data.yaml" in only_line(stage1("evaluate", released, tmp_path / "data.yaml"))


def test_the_data_of_a_higher_phase_are_those_of_the_lowest(stage1, released, data, tmp_path):
    lowest = {"data": yaml.safe_load(data.read_text())}
    path = tmp_path / "phase.yaml"
    for content in ({"previous": {"previous": lowest}, "head": {}}, {"top": {"previous": {"previous": lowest}}}):
        path.write_text(yaml.safe_dump(content))
        assert read_data_config(path) == read_data_config(data)
    path.write_text(yaml.safe_dump({"previous": None}))
    assert "phase.yaml" in only_line(stage1("evaluate", released, path))


@pytest.mark.parametrize("content", ["", "{}", "[1]"])
def test_a_manifest_that_says_nothing(stage1, released, data, tmp_path, content):
    bundle = shutil.copytree(released, tmp_path / "bundle")
    (bundle / "bundle.json").write_text(content)
    outcomes = [stage1("evaluate", bundle, data) for _ in range(2)]
    assert outcomes[0] == outcomes[1]
    assert "bundle.json" in only_line(outcomes[0])


def test_a_folder_of_pictures_is_no_configuration(stage1, released, pictures):
    assert str(pictures) in only_line(stage1("evaluate", released, pictures))


@pytest.mark.parametrize("option", ["--output", "--predictions"])
def test_nothing_is_decided_for_a_file_that_cannot_be_written(stage1, released, data, tmp_path, option):
    assert "there is no folder" in only_line(stage1("evaluate", released, data, option, tmp_path / "absent" / "file"))


def test_a_device_that_is_not_there(stage1, released, data):
    assert "abacus" in only_line(stage1("evaluate", released, data, "--device", "abacus"))
