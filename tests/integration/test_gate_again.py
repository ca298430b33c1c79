"""The gate's flow again after something in the store was damaged: that step is made again, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient

from flows.gate import gate
from stage1_core.data.access_log import AccessLog
from stage1_core.training.selection import SelectionMetric
from tasks.evaluation import RESAMPLES_FILE, TRANSFORMS_FILE
from tasks.training import kept_folder
from tests.integration.toys import EVERY_TIME

pytestmark = pytest.mark.slow

OF_A_GATE_TOO = {"publish_comparison", "publish_training"}


def computed(step_states) -> list[str]:
    """The cached steps that ran, each as often as it did; all others were found."""
    found = {name: states for name, states in step_states.items() if name not in EVERY_TIME | OF_A_GATE_TOO}
    return [name for name, states in found.items() for state in states if state != "Cached"]


def looks(workspace: Path) -> list[str]:
    (log,) = (workspace / "ledgers").glob("*.jsonl")
    return [entry.event for entry in AccessLog(log).entries()]


def test_three_phases_are_not_done_twice(gate_again, step_states):
    released = gate(gate_again.config)
    assert computed(step_states) == []
    assert {"train_head", "fit_gate_policy", "compare_policies", "release_bundle"} <= step_states.keys()
    assert released.bundle == gate_again.released.bundle


@pytest.mark.parametrize(
    ("kind", "file", "step"),
    [
        ("comparison", "comparison.json", "compare_policies"),
        ("evaluation", RESAMPLES_FILE, "evaluate_policy"),
        ("head", f"{kept_folder(SelectionMetric.ACCURACY)}/head.safetensors", "train_head"),
        ("policy", "policy.json", "match_policy"),
    ],
)
def test_what_was_damaged_is_made_again_and_nothing_else(gate_again, step_states, kind, file, step):
    ref = getattr(gate_again.released.made, kind)
    require_only(step, gate_again, step_states, gate_again.workspace / "store" / ref.path / file)


def test_damaged_numbers_of_other_geometries_are_measured_again_and_nothing_else(gate_again, step_states):
    (table,) = (gate_again.workspace / "store" / "metrics").glob(f"*/{TRANSFORMS_FILE}")
    require_only("measure_transforms", gate_again, step_states, table)


def require_only(step, gate_again, step_states, damaged: Path) -> None:
    """The flow makes ``step`` once, the same file comes of it, no look is counted, and the same release stands."""
    content, before = damaged.read_bytes(), looks(gate_again.workspace)
    middle = len(content) // 2
    damaged.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    released = gate(gate_again.config)
    assert computed(step_states) == [step]
    assert damaged.read_bytes() == content
    assert looks(gate_again.workspace) == before
    assert released.bundle == gate_again.released.bundle
    assert released.registered == gate_again.released.registered
    assert len(MlflowClient().search_model_versions("name = 'toy'")) == 3
