from __future__ import annotations

import contextlib

import torch

from stage1_core.bundle.inference import full_precision


def precisions() -> tuple[str, str]:
    return torch.backends.cuda.matmul.fp32_precision, torch.backends.cudnn.conv.fp32_precision


def test_a_gpu_computes_without_tf32_inside_the_block_and_as_before_after_it():
    before = precisions()
    with full_precision("cuda:0"):
        assert precisions() == ("ieee", "ieee")
    assert precisions() == before


def test_an_error_inside_the_block_puts_the_precision_back():
    before = precisions()
    with contextlib.suppress(KeyError), full_precision("cuda:0"):
        raise KeyError
    assert precisions() == before


def test_nothing_is_switched_for_the_cpu():
    before = precisions()
    with full_precision("cpu"):
        assert precisions() == before
