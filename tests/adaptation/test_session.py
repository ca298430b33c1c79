from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from stage1_core.adaptation.learner import MaskedLearner
from stage1_core.adaptation.outcomes import PretrainingLog
from stage1_core.adaptation.session import LOG_FILE, run_pretraining
from stage1_core.adaptation.trainable import changes
from stage1_core.errors import CheckpointError
from stage1_core.model.backbone import load_backbone, save_backbone
from tests.adaptation.toys import TRANSFORM, linear_probe, told_probe, toy_config

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys, time
from pathlib import Path
import pandas as pd
import torch
from stage1_core.adaptation.session import run_pretraining
from stage1_core.model.backbone import load_backbone
from stage1_core.model.backbone_config import TransformersBackboneConfig
from tests.adaptation.toys import TRANSFORM, linear_probe, toy_config

def step(made, of):
    print("step", flush=True)
    time.sleep(0.1)

torch.set_num_threads(1)
folder, model, table = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
backbone = load_backbone(TransformersBackboneConfig(model=model), device="cpu")
pictures = pd.read_json(table, dtype={"id": str})
run_pretraining(
    backbone, pictures, TRANSFORM, linear_probe(pictures), toy_config(epochs=4), folder, identity="toy", workers=0,
    on_update=step,
)
"""


def pretrained(backbone, pictures, folder, areas, *, identity="toy", **changes):
    config = toy_config(**changes)
    return run_pretraining(
        backbone, pictures, TRANSFORM, told_probe(*areas), config, folder, identity=identity, workers=0
    )


def test_the_kept_epoch_is_reported_with_what_changed_and_saved_as_an_ordinary_backbone(backbone, pictures, tmp_path):
    found = pretrained(backbone, pictures, tmp_path, (0.3, 0.2, 0.1, 0.15))
    report = found.report
    again = load_backbone(save_backbone(found.backbone, tmp_path / "backbone_explora"), device="cpu")

    assert report.kept_epoch == 2
    assert [epoch.epoch for epoch in report.epochs] == [0, 1, 2, 3]
    assert [epoch.probe.augrc for epoch in report.epochs] == [0.3, 0.2, 0.1, 0.15]
    assert report.trainable_parameters == 9312
    assert set(report.changed) == changes(backbone, again)
    assert report.changed_wrongly == ()


def test_a_wrong_change_of_the_network_that_was_trained_is_reported_also_after_a_continuation(
    backbone, pictures, tmp_path, monkeypatch
):
    class Stopped(Exception):
        pass

    def stop(result):
        if result.epoch == 1:
            raise Stopped

    def drifting_step(learner, pixels, generator):
        observed = step(learner, pixels, generator)
        with torch.no_grad():
            learner.adapted.network.embeddings.cls_token.add_(0.5)
        return observed

    step, config, probe = MaskedLearner.step, toy_config(), told_probe(0.3, 0.2)
    monkeypatch.setattr(MaskedLearner, "step", drifting_step)
    with pytest.raises(Stopped):
        run_pretraining(
            backbone, pictures, TRANSFORM, probe, config, tmp_path, identity="toy", workers=0, on_epoch=stop
        )
    monkeypatch.undo()
    report = pretrained(backbone, pictures, tmp_path, (0.1, 0.15)).report

    assert "embeddings.cls_token" not in report.changed
    assert report.changed_wrongly == ("embeddings.cls_token",)
    assert [epoch.changed_wrongly for epoch in report.epochs] == [(), ("embeddings.cls_token",), (), ()]


def test_a_pretraining_that_never_helps_hands_the_original_back(backbone, pictures, tmp_path):
    found = pretrained(backbone, pictures, tmp_path, (0.1, 0.2, 0.3, 0.4))

    assert found.backbone is backbone
    assert (found.report.kept_epoch, found.report.changed) == (0, ())


def test_a_finished_pretraining_is_read_and_not_made_again(backbone, pictures, tmp_path):
    first = pretrained(backbone, pictures, tmp_path, (0.3, 0.2, 0.1, 0.15))
    again = pretrained(backbone, pictures, tmp_path, ())

    assert again.report == first.report
    assert changes(first.backbone, again.backbone) == frozenset()


def test_checkpoints_of_another_pretraining_are_refused(backbone, pictures, tmp_path):
    pretrained(backbone, pictures, tmp_path, (0.3, 0.2), epochs=1)

    with pytest.raises(CheckpointError, match="belongs to another configuration"):
        pretrained(backbone, pictures, tmp_path, (0.3, 0.2), identity="other", epochs=1)


def test_an_epoch_is_reported_after_it_is_saved_and_a_log_ahead_of_it_is_cut(backbone, pictures, tmp_path):
    class Stopped(Exception):
        pass

    def stop(result):
        if result.epoch == 1:
            raise Stopped

    config = toy_config()
    probe = linear_probe(pictures)
    with pytest.raises(Stopped):
        run_pretraining(
            backbone, pictures, TRANSFORM, probe, config, tmp_path, identity="toy", workers=0, on_epoch=stop
        )
    log = PretrainingLog.from_json_file(tmp_path / LOG_FILE)
    too_many = PretrainingLog(epochs=(*log.epochs, log.epochs[-1]))
    (tmp_path / LOG_FILE).write_text(too_many.to_json())
    seen = []
    found = run_pretraining(
        backbone,
        pictures,
        TRANSFORM,
        probe,
        config,
        tmp_path,
        identity="toy",
        workers=0,
        on_epoch=lambda result: seen.append(result.epoch),
    )

    assert seen == [2, 3]
    assert [epoch.epoch for epoch in found.report.epochs] == [0, 1, 2, 3]
    assert found.report.epochs[:2] == log.epochs


def test_a_log_that_lacks_epochs_is_refused(backbone, pictures, tmp_path):
    pretrained(backbone, pictures, tmp_path, (0.3, 0.2), epochs=1)
    (tmp_path / LOG_FILE).write_text(PretrainingLog().to_json())

    with pytest.raises(CheckpointError, match="lacks epochs"):
        pretrained(backbone, pictures, tmp_path, (), epochs=1)


@pytest.mark.slow
def test_a_killed_pretraining_ends_bit_for_bit_as_one_that_was_left_alone(backbone, vit_config, pictures, tmp_path):
    alone, killed = tmp_path / "alone", tmp_path / "killed"
    pictures.to_json(tmp_path / "pictures.json")
    command = [sys.executable, "-c", PROGRAM, str(killed), vit_config.model, str(tmp_path / "pictures.json")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        for _ in range(5):  # amid the second epoch
            assert process.stdout.readline() == "step\n"
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL

    steps = []
    for folder in (killed, alone):
        found = run_pretraining(
            backbone,
            pictures,
            TRANSFORM,
            linear_probe(pictures),
            toy_config(epochs=4),
            folder,
            identity="toy",
            workers=0,
            on_update=lambda made, _, folder=folder: steps.append(folder),
        )
        save_backbone(found.backbone, folder / "backbone_explora")
        (folder / "report.json").write_text(found.report.to_json())
    assert [steps.count(folder) for folder in (killed, alone)] == [9, 12]
    for name in ("report.json", LOG_FILE, "backbone_explora/model.safetensors", "epoch-00004/manifest.json"):
        assert (killed / name).read_bytes() == (alone / name).read_bytes(), name
