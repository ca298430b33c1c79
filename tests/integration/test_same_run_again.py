"""The same flow again: what is there is not made again, what changed is, and what was damaged is found out."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient

from flows.baseline import baseline
from stage1_core.bundle.artifact import ArtifactRef
from stage1_core.data.access_log import AccessLog
from tests.integration.toys import EVERY_TIME, draw_picture, toy_training


def computed(step_states) -> set[str]:
    """The cached steps that ran; all others were found."""
    return {name for name, states in step_states.items() if "Cached" not in states} - EVERY_TIME


def openings(workspace: Path) -> list[str]:
    return [
        entry.event for file in sorted((workspace / "ledgers").glob("*.jsonl")) for entry in AccessLog(file).entries()
    ]


def stored(again, kind: str) -> ArtifactRef:
    """The only artifact of a kind."""
    (manifest,) = (again.workspace / "store" / kind).glob("*.json")
    return ArtifactRef(kind=kind, path=f"{kind}/{manifest.stem}", sha256=json.loads(manifest.read_text())["sha256"])


def file_times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_nothing_is_done_twice(again, step_states):
    kept = ("checkpoints", "store", "features", "inspections", "ledgers")
    before = {name: file_times(again.workspace / name) for name in kept}
    released = baseline(again.config)
    assert computed(step_states) == set()
    assert {"prepare_data", "train_head", "predict", "fit_policy", "release_bundle"} <= step_states.keys()
    assert step_states.keys() >= EVERY_TIME
    assert {name: file_times(again.workspace / name) for name in kept} == before
    assert released.bundle == again.released.bundle
    assert released.registered == again.released.registered
    assert released.run.mlflow_run_id == again.released.run.mlflow_run_id
    assert released.run.run_id != again.released.run.run_id
    assert (released.run.folder / "bundle" / "bundle.json").is_file()
    assert len(MlflowClient().search_model_versions("name = 'toy'")) == 1
    assert len(MlflowClient().search_runs([MlflowClient().get_experiment_by_name("stage1").experiment_id])) == 2
    assert openings(again.workspace) == ["certified", "opened"]


def test_another_training_uses_the_same_features_and_is_another_look_at_the_held_out_rows(again, step_states):
    config = again.config.model_copy(update={"training": toy_training(epochs=5)})
    released = baseline(config)
    assert computed(step_states) >= {"train_head", "predict", "fit_policy", "evaluate_policy", "release_bundle"}
    assert not {"prepare_data", "extract_features", "measure_reference"} & computed(step_states)
    assert openings(again.workspace) == ["certified", "opened"] * 2
    assert released.registered.version == "2"
    assert str(MlflowClient().get_model_version_by_alias("toy", "candidate").version) == "2"
    assert released.run.mlflow_run_id != again.released.run.mlflow_run_id


def test_a_changed_picture_makes_everything_anew(again, step_states, picture):
    draw_picture(picture, 0, seed=1000)
    baseline(again.config)
    assert computed(step_states) >= {"prepare_data", "extract_features", "train_head", "release_bundle"}
    # The picture is a certifying one: head and policy are the old ones, which had seen the test rows already.
    assert openings(again.workspace) == ["certified", "opened", "certified"]
    assert len(list((again.workspace / "ledgers").glob("*.jsonl"))) == 1


def test_a_picture_that_was_only_touched_is_looked_at_and_nothing_more(again, step_states, picture):
    os.utime(picture, ns=(0, 0))
    released = baseline(again.config)
    assert computed(step_states) == {"prepare_data"}
    assert released.bundle == again.released.bundle


class TestDamage:
    def test_a_lost_artifact_is_made_again_and_what_follows_is_found(self, again, step_states):
        head = stored(again, "head")
        shutil.rmtree(again.workspace / "store" / head.path)
        shutil.rmtree(again.workspace / "features")
        released = baseline(again.config)
        assert computed(step_states) == {"train_head"}
        assert stored(again, "head") == head
        assert released.bundle == again.released.bundle

    def test_a_head_that_must_be_trained_again_has_the_same_weights_and_is_no_new_look(self, again, step_states):
        head = again.workspace / "store" / stored(again, "head").path
        weights = (head / "head.safetensors").read_bytes()
        shutil.rmtree(head)
        shutil.rmtree(again.workspace / "checkpoints")
        baseline(again.config)
        assert "train_head" in computed(step_states)
        assert {path.read_bytes() for path in again.workspace.glob("store/head/*/head.safetensors")} == {weights}
        assert openings(again.workspace) == ["certified", "opened"]

    def test_a_corrupted_policy_is_fitted_again_without_another_look_being_counted(self, again, step_states):
        policy = stored(again, "policy")
        file = again.workspace / "store" / policy.path / "policy.json"
        content = file.read_bytes()
        file.write_bytes(content.replace(b'"softmax"', b'"sofTmax"'))
        baseline(again.config)
        assert computed(step_states) == {"fit_policy"}
        assert file.read_bytes() == content
        assert openings(again.workspace) == ["certified", "opened"]

    def test_a_lost_bundle_is_written_again_and_not_registered_again(self, again, step_states):
        shutil.rmtree(again.workspace / "store" / "bundle")
        released = baseline(again.config)
        assert computed(step_states) == {"release_bundle"}
        assert released.registered == again.released.registered
        assert len(MlflowClient().search_model_versions("name = 'toy'")) == 1

    @pytest.mark.parametrize("content", [b"", b"{", b'{"result": "[]"}', b'{"result": 3}', b"\xff\xfe"])
    def test_a_record_that_cannot_be_read_is_forgotten(self, again, step_states, content):
        wanted = rf"\"sha256\": \"{stored(again, 'ledger').sha256}\"".encode()
        (record,) = [path for path in (again.workspace / "results").iterdir() if wanted in path.read_bytes()]
        record.write_bytes(content)
        released = baseline(again.config)
        assert computed(step_states) == {"prepare_data"}
        assert released.bundle == again.released.bundle
