"""Several processes share one training: the same steps as one process makes alone."""

from __future__ import annotations

import csv
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from stage1_core.model.head import HeadConfig
from tests.integration.toys import draw_pictures, toy_config

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
import numpy as np
import torch
from accelerate import PartialState
from safetensors.torch import save_file
from stage1_core.training.loop import train
from stage1_core.training.objective import CrossEntropyConfig
from stage1_core.training.optimizer import AdamWConfig, FriendlySamConfig
from tests.training.toys import feature_rows, select_rows, tiny_head, training

torch.set_num_threads(1)
unweighted, base = CrossEntropyConfig(weight_classes=False), AdamWConfig(lr_head=3e-3)
optimizer = {"adamw": base, "friendly_sam": FriendlySamConfig(base=base, radius=0.5)}[sys.argv[2]]
config = training(epochs=2, objective=unweighted, optimizer=optimizer)
for result in train(tiny_head(dropout=0.0), feature_rows(), select_rows(), config):
    pass
if PartialState().is_main_process:
    tensors = dict(result.state().averages)
    tensors["logits"] = torch.from_numpy(result.scores.logits)
    tensors["losses"] = torch.tensor([result.train_loss, result.train_accuracy, result.val_loss])
    save_file(tensors, sys.argv[1])
PartialState().wait_for_everyone()
PartialState().destroy_process_group()
"""


def run(target, processes, optimizer):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    running = []
    for rank in range(processes):
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "MASTER_PORT": port}
        settings = {name: str(value) for name, value in place.items()} if processes > 1 else {}
        environment = os.environ | settings | {"MASTER_ADDR": "127.0.0.1", "ACCELERATE_USE_CPU": "true"}
        command = [sys.executable, "-c", PROGRAM, str(target), optimizer]
        running.append(subprocess.Popen(command, cwd=ROOT, env=environment))
    assert [process.wait(timeout=180) for process in running] == [0] * processes
    return load_file(target)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "friendly_sam"])
def test_two_processes_make_the_steps_of_one(tmp_path, optimizer):
    alone, shared = run(tmp_path / "one", 1, optimizer), run(tmp_path / "two", 2, optimizer)
    for name, value in alone.items():
        torch.testing.assert_close(shared[name], value, rtol=1e-3, atol=1e-5)


def command_line(config, workspace, folder, launcher):
    """What an engineer types; `accelerate launch --cpu` alone starts one process where mpirun is not installed."""
    program = Path(sys.executable).with_name("stage1")
    command = [*launcher, str(program), "train", "--config", str(config), "--output-dir", str(folder)]
    environment = os.environ | {
        "ACCELERATE_USE_CPU": "true",
        "OMP_NUM_THREADS": "1",
        "STAGE1_ARTIFACTS": str(workspace),
    }
    made = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert made.returncode == 0, made.stderr[-3000:]
    return made.stdout


@pytest.mark.slow
def test_the_command_under_accelerate_trains_as_it_does_alone_and_writes_once(tmp_path):
    config = toy_config(draw_pictures(tmp_path / "pictures"), head=HeadConfig(hidden=16, dropout=0.0))
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    launch = [str(Path(sys.executable).with_name("accelerate")), "launch", "--multi_gpu", "--num_processes", "2"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    said = {
        name: command_line(file, tmp_path / "workspace", tmp_path / name, launcher)
        for name, launcher in {"alone": [], "shared": launch}.items()
    }
    alone, shared = (load_file(tmp_path / name / "head.safetensors") for name in said)
    for name, value in alone.items():
        torch.testing.assert_close(shared[name], value, rtol=1e-3, atol=1e-5)
    rows = {name: list(csv.DictReader((tmp_path / name / "metrics.csv").read_text().splitlines())) for name in said}
    assert [row["Epoch"] for row in rows["shared"]] == [row["Epoch"] for row in rows["alone"]] == ["1", "2", "3", "4"]
    assert said["shared"].count("epoch 1:") == said["shared"].count("holds the head of the best epoch") == 1
    files = [{path.relative_to(tmp_path / name) for path in (tmp_path / name).rglob("*")} for name in said]
    assert files[0] == files[1]
    again = command_line(file, tmp_path / "workspace", tmp_path / "shared", launch)
    assert "epoch 1:" not in again
