from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from stage1_core.errors import CheckpointError
from stage1_core.training.accumulation import CarriedAccumulation
from stage1_core.training.batching import BatchConfig
from stage1_core.training.checkpoint import (
    MANIFEST,
    SCALARS,
    TENSORS,
    WEIGHTS,
    checkpoints,
    latest_good,
    load_checkpoint,
    save_checkpoint,
)
from stage1_core.training.loop import train
from stage1_core.training.selection import SelectionConfig, SelectionMetric
from stage1_core.training.state_tree import pack
from tests.training.toys import feature_rows, select_rows, tiny_head, training

DIGEST = "c0ffee" * 10


def config():
    """One with everything that a state can hold: carried gradients and two best epochs."""
    return training(
        batch=BatchConfig(sizes=(8,), accumulation=CarriedAccumulation(), drop_last=True),
        selection=SelectionConfig(keep_also=(SelectionMetric.VAL_LOSS,), patience=None),
    )


@pytest.fixture(scope="module")
def states():
    return [result.state() for result in train(tiny_head(), feature_rows(), select_rows(), config())]


def flat(state):
    """Everything in a state as JSON text and tensors."""
    fields = {name: getattr(state, name) for name in state.__slots__ if name != "progress"}
    tensors = {name: dict(sorted(fields[name].items())) for name in ("weights", "averages", "gradients")}
    best = {str(m): [b.epoch, b.value, dict(sorted(b.weights.items()))] for m, b in sorted(state.progress.best.items())}
    return pack({**fields, **tensors, "best": best, "misses": state.progress.misses})


def assert_equal(first, second):
    (json_a, tensors_a), (json_b, tensors_b) = flat(first), flat(second)
    assert json.dumps(json_a, sort_keys=True) == json.dumps(json_b, sort_keys=True)
    assert tensors_a.keys() == tensors_b.keys()
    assert all(torch.equal(value, tensors_b[name]) for name, value in tensors_a.items())


def test_a_state_comes_back_exactly(states, tmp_path):
    path = save_checkpoint(tmp_path, states[1], config_digest=DIGEST)
    assert_equal(load_checkpoint(path, config_digest=DIGEST), states[1])


def test_training_continues_from_a_checkpoint_bit_for_bit(states, tmp_path):
    path = save_checkpoint(tmp_path, states[0], config_digest=DIGEST)
    state = load_checkpoint(path, config_digest=DIGEST)
    *_, last = train(tiny_head(seed=9), feature_rows(), select_rows(), config(), state=state)
    assert_equal(last.state(), states[-1])


def test_weights_are_safetensors_and_nothing_is_pickled(states, tmp_path):
    path = save_checkpoint(tmp_path, states[0], config_digest=DIGEST)
    assert sorted(file.name for file in path.iterdir()) == sorted([MANIFEST, SCALARS, TENSORS, WEIGHTS])
    weights = load_file(path / WEIGHTS)
    assert torch.equal(weights["model/trunk.weight"], states[0].weights["trunk.weight"])
    assert torch.equal(weights["ema/trunk.weight"], states[0].averages["trunk.weight"])
    scalars = json.loads((path / SCALARS).read_text())
    assert {"epoch", "scheduler", "best", "patience", "ema"} <= scalars.keys()


def test_equal_states_give_equal_bytes(states, tmp_path):
    first, second = (save_checkpoint(tmp_path / name, states[0], config_digest=DIGEST) for name in "ab")
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in (WEIGHTS, TENSORS, MANIFEST))


def test_the_last_two_are_kept(states, tmp_path):
    for state in states:
        save_checkpoint(tmp_path, state, config_digest=DIGEST)
    assert [path.name for path in checkpoints(tmp_path)] == ["epoch-00004", "epoch-00003"]


def test_no_checkpoint_is_no_state(tmp_path):
    assert latest_good(tmp_path / "never made", config_digest=DIGEST) is None


@pytest.fixture
def saved(states, tmp_path):
    for state in states[:2]:
        save_checkpoint(tmp_path, state, config_digest=DIGEST)
    return tmp_path


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", [WEIGHTS, TENSORS, SCALARS])
def test_a_changed_file_is_refused_and_the_previous_checkpoint_is_used(saved, states, name, caplog):
    newest = checkpoints(saved)[0]
    flip_a_bit(newest / name)
    with pytest.raises(CheckpointError, match=f"{name} is missing or was changed"):
        load_checkpoint(newest, config_digest=DIGEST)
    state = latest_good(saved, config_digest=DIGEST)
    assert_equal(state, states[0])
    assert "going back to epoch-00001" in caplog.text


@pytest.mark.parametrize("damage", ["no manifest", "half a manifest", "lost weights"])
def test_an_incomplete_checkpoint_is_passed_over(saved, states, damage):
    newest = checkpoints(saved)[0]
    if damage == "half a manifest":
        (newest / MANIFEST).write_text((newest / MANIFEST).read_text()[:20])
    else:
        (newest / (MANIFEST if damage == "no manifest" else WEIGHTS)).unlink()
    assert_equal(latest_good(saved, config_digest=DIGEST), states[0])


def test_when_all_are_damaged_training_does_not_silently_begin_anew(saved):
    for path in checkpoints(saved):
        flip_a_bit(path / WEIGHTS)
    with pytest.raises(CheckpointError, match=r"delete .* to start from the first epoch"):
        latest_good(saved, config_digest=DIGEST)


def test_a_checkpoint_of_another_configuration_is_refused(saved):
    with pytest.raises(CheckpointError, match=r"another configuration \(c0ffeec0ffee, not beefbeefbeef\)"):
        latest_good(saved, config_digest="beef" * 15)


def test_a_damaged_epoch_can_be_trained_and_saved_again(saved, states):
    flip_a_bit(checkpoints(saved)[0] / WEIGHTS)
    save_checkpoint(saved, states[1], config_digest=DIGEST)
    assert_equal(latest_good(saved, config_digest=DIGEST), states[1])


def test_what_a_killed_save_left_behind_is_ignored_and_removed(saved, states):
    shutil.copytree(checkpoints(saved)[0], saved / ".draft-123")
    (saved / ".draft-123" / MANIFEST).unlink()
    assert_equal(latest_good(saved, config_digest=DIGEST), states[1])
    save_checkpoint(saved, states[2], config_digest=DIGEST)
    assert sorted(path.name for path in saved.iterdir()) == ["epoch-00002", "epoch-00003"]


def test_two_metrics_with_one_best_epoch_share_its_weights(states, tmp_path):
    best = states[0].progress.best
    assert {b.epoch for b in best.values()} == {1}
    path = save_checkpoint(tmp_path, states[0], config_digest=DIGEST)
    assert sum(name.startswith("best/") for name in load_file(path / WEIGHTS)) == len(states[0].weights)


def test_a_manifest_cannot_name_another_file_as_its_own(saved):
    newest = checkpoints(saved)[0]
    manifest = json.loads((newest / MANIFEST).read_text())
    manifest["files"] = {}
    (newest / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match="missing or was changed"):
        load_checkpoint(newest, config_digest=DIGEST)


def test_a_state_that_is_not_a_training_state_is_not_written(states, tmp_path):
    with pytest.raises(CheckpointError, match="cannot be stored without pickle"):
        save_checkpoint(tmp_path, replace(states[0], scaler={"x": object()}), config_digest=DIGEST)
    assert checkpoints(tmp_path) == []
