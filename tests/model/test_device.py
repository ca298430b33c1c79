"""What the environment may say about the device."""

from __future__ import annotations

import pytest
import torch

from stage1_core.errors import ModelError
from stage1_core.model.device import VARIABLE, best_device
from stage1_core.training.execution import make_accelerator


@pytest.fixture(params=[True, False], ids=["gpu", "no gpu"])
def has_gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: request.param)
    return bool(request.param)


@pytest.mark.parametrize("said", [None, "auto"])
def test_a_gpu_is_used_where_there_is_one(has_gpu, said, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    if said is not None:
        monkeypatch.setenv(VARIABLE, said)
    assert best_device() == ("cuda" if has_gpu else "cpu")


def test_the_cpu_can_be_insisted_on(has_gpu, monkeypatch):
    monkeypatch.setenv(VARIABLE, "cpu")
    assert best_device() == "cpu"


def test_training_keeps_to_the_cpu_too(monkeypatch):
    monkeypatch.setenv(VARIABLE, "cpu")
    assert make_accelerator("auto").device.type == "cpu"


def test_a_gpu_that_is_insisted_on_must_be_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv(VARIABLE, "cuda")
    with pytest.raises(ModelError, match="set auto to allow the CPU"):
        best_device()


def test_any_other_word_is_refused(has_gpu, monkeypatch):
    monkeypatch.setenv(VARIABLE, "tpu")
    with pytest.raises(ModelError, match="auto, cpu or cuda"):
        best_device()
