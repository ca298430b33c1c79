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

from stage1_core.training.checkpoint import WEIGHTS, checkpoints

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys, time
from pathlib import Path
import torch
from stage1_core.training.checkpoint import latest_good, save_checkpoint
from stage1_core.training.loop import train
from tests.training.toys import feature_rows, select_rows, tiny_head, training

torch.set_num_threads(1)
folder, pause = Path(sys.argv[1]), float(sys.argv[2])
state = latest_good(folder, config_digest="toy")
steps = lambda made, of: time.sleep(pause)
for result in train(tiny_head(), feature_rows(), select_rows(), training(epochs=5), state=state, on_update=steps):
    save_checkpoint(folder, result.state(), config_digest="toy")
    print(result.epoch, flush=True)
"""


def start(folder, pause):
    command = [sys.executable, "-c", PROGRAM, str(folder), str(pause)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    with start(folder, 0) as process:
        output, _ = process.communicate(timeout=120)
    assert output.split() == ["1", "2", "3", "4", "5"]
    return load_file(checkpoints(folder)[0] / WEIGHTS)


@pytest.mark.parametrize(("epochs", "seconds"), [(1, 0.0), (2, 0.12)], ids=["after an epoch", "amid an epoch"])
def test_a_killed_training_ends_bit_for_bit_as_one_that_was_left_alone(undisturbed, tmp_path, epochs, seconds):
    with start(tmp_path, 0.05) as process:
        for _ in range(epochs):
            process.stdout.readline()
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert epochs <= int(checkpoints(tmp_path)[0].name.removeprefix("epoch-")) < 5
    with start(tmp_path, 0) as process:
        process.communicate(timeout=120)
    assert process.returncode == 0
    found = load_file(checkpoints(tmp_path)[0] / WEIGHTS)
    assert found.keys() == undisturbed.keys()
    assert all(torch.equal(value, undisturbed[name]) for name, value in found.items())
