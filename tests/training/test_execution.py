from __future__ import annotations

import shutil

import pytest
import torch

from stage1_core.training import execution
from stage1_core.training.execution import compiled_forward, make_accelerator
from tests.training.toys import FEATURES, tiny_head

HAS_GPU = torch.cuda.is_available()


def test_one_process_can_train_in_one_precision_after_another():
    found = [make_accelerator(precision).mixed_precision for precision in ("fp32", "bf16", "fp32")]
    assert found == ["no", "bf16", "no"]


def test_automatic_precision_is_full_on_a_cpu_and_half_on_a_gpu():
    assert (make_accelerator("auto").mixed_precision == "no") is not HAS_GPU


def test_fp16_without_a_gpu_becomes_fp32_and_says_so(caplog):
    assert make_accelerator("fp16").mixed_precision == ("fp16" if HAS_GPU else "no")
    assert ("fp16 needs a GPU" in caplog.text) is not HAS_GPU


@pytest.mark.slow
def test_a_compiled_head_gives_the_same_logits_or_says_why_not(caplog):
    head = tiny_head(gated=True).eval()
    names = list(head.state_dict())
    features = torch.rand(6, FEATURES)
    forward = compiled_forward(head, features[:2])
    torch.testing.assert_close(forward(features).class_logits, head(features).class_logits, rtol=1e-4, atol=1e-5)
    assert list(head.state_dict()) == names
    assert (forward is head) == ("torch.compile is not available" in caplog.text)
    if shutil.which("g++") and not HAS_GPU:
        assert forward is not head


@pytest.mark.parametrize("error", [RuntimeError, OSError])
def test_where_compiling_fails_training_goes_on_without_it(monkeypatch, caplog, error):
    def broken(model, dynamic):
        def call(features):
            raise error("no C++ compiler\nlong story")

        return call

    monkeypatch.setattr(execution.torch, "compile", broken)
    head = tiny_head()
    assert compiled_forward(head, torch.rand(2, FEATURES)) is head
    assert "torch.compile is not available (no C++ compiler): training without it" in caplog.text
