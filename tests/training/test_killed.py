"""A training process that is killed at any moment and started again ends as one that was left alone."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from stage1_core.training.checkpoint import TENSORS, WEIGHTS, checkpoints

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys, time
from pathlib import Path
import torch
from stage1_core.training.checkpoint import latest_good, save_checkpoint
from stage1_core.training.loop import train
from stage1_core.training.objective import ConformalRiskConfig, SelectiveConfig
from stage1_core.training.optimizer import FriendlySamConfig
from tests.training.toys import feature_rows, select_rows, tiny_head, training

torch.set_num_threads(1)
folder, pause = Path(sys.argv[1]), float(sys.argv[2])
changes = {
    "defaults": {},
    "selective": {"objective": SelectiveConfig(warmup_epochs=1)},
    "conformal_risk": {"objective": ConformalRiskConfig(train_max_fnr=0.1, calibration_rows=20, warmup_epochs=1)},
    "friendly_sam": {"optimizer": FriendlySamConfig()},
}
head, config = tiny_head(gated=True), training(epochs=5, **changes[sys.argv[3]])
state = latest_good(folder, config_digest="toy")
steps = lambda made, of: time.sleep(pause)
for result in train(head, feature_rows(), select_rows(), config, state=state, on_update=steps):
    save_checkpoint(folder, result.state(), config_digest="toy")
    print(result.epoch, flush=True)
"""


def start(folder, pause, kind):
    command = [sys.executable, "-c", PROGRAM, str(folder), str(pause), kind]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def everything_in(checkpoint):
    """Weights, averages, best epochs; and the states of optimizer and objective."""
    return load_file(checkpoint / WEIGHTS) | load_file(checkpoint / TENSORS)


@pytest.fixture(scope="module", params=["defaults", "selective", "conformal_risk", "friendly_sam"])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, kind):
    folder = tmp_path_factory.mktemp("undisturbed")
    with start(folder, 0, kind) as process:
        output, _ = process.communicate(timeout=120)
    assert output.split() == ["1", "2", "3", "4", "5"]
    return everything_in(checkpoints(folder)[0])


@pytest.mark.parametrize(("epochs", "seconds"), [(1, 0.0), (2, 0.12)], ids=["after an epoch", "amid an epoch"])
def test_a_killed_training_ends_bit_for_bit_as_one_that_was_left_alone(undisturbed, tmp_path, kind, epochs, seconds):
    with start(tmp_path, 0.05, kind) as process:
        for _ in range(epochs):
            process.stdout.readline()
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert epochs <= int(checkpoints(tmp_path)[0].name.removeprefix("epoch-")) < 5
    with start(tmp_path, 0, kind) as process:
        process.communicate(timeout=120)
    assert process.returncode == 0
    found = everything_in(checkpoints(tmp_path)[0])
    assert found.keys() == undisturbed.keys()
    assert all(torch.equal(value, undisturbed[name]) for name, value in found.items())
