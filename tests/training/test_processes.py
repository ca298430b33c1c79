"""Several processes share one training: the same steps as one process makes alone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
import numpy as np
import torch
from accelerate import PartialState
from safetensors.torch import save_file
from stage1_core.training.loop import train
from stage1_core.training.objective import CrossEntropyConfig
from tests.training.toys import feature_rows, select_rows, tiny_head, training

torch.set_num_threads(1)
unweighted = CrossEntropyConfig(weight_classes=False)
for result in train(tiny_head(dropout=0.0), feature_rows(), select_rows(), training(epochs=2, objective=unweighted)):
    pass
if PartialState().is_main_process:
    tensors = dict(result.state().averages)
    tensors["logits"] = torch.from_numpy(result.scores.logits)
    tensors["losses"] = torch.tensor([result.train_loss, result.train_accuracy, result.val_loss])
    save_file(tensors, sys.argv[1])
PartialState().wait_for_everyone()
PartialState().destroy_process_group()
"""


def run(target, processes):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    running = []
    for rank in range(processes):
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "MASTER_PORT": port}
        settings = {name: str(value) for name, value in place.items()} if processes > 1 else {}
        environment = os.environ | settings | {"MASTER_ADDR": "127.0.0.1", "ACCELERATE_USE_CPU": "true"}
        command = [sys.executable, "-c", PROGRAM, str(target)]
        running.append(subprocess.Popen(command, cwd=ROOT, env=environment))
    assert [process.wait(timeout=180) for process in running] == [0] * processes
    return load_file(target)


@pytest.mark.slow
def test_two_processes_make_the_steps_of_one(tmp_path):
    alone, shared = run(tmp_path / "one", 1), run(tmp_path / "two", 2)
    for name, value in alone.items():
        torch.testing.assert_close(shared[name], value, rtol=1e-3, atol=1e-5)
