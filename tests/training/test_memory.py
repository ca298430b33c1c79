"""The peak of a stretch of work, not of all that the process ever did."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from stage1_core.training import memory
from stage1_core.training.memory import forget_peak, peak_bytes

CPU = torch.device("cpu")
DEVICES = [CPU, *([torch.device("cuda")] if torch.cuda.is_available() else [])]
SIZE = 64 << 20
"""Bytes: large enough that what else happens does not hide it, and given back to the system at once."""


def can_forget() -> bool:
    return os.access("/proc/self/clear_refs", os.W_OK)


def use(size: int) -> None:
    """Touch ``size`` bytes and give them back."""
    assert np.ones(size, dtype=np.uint8).sum() == size


@pytest.mark.parametrize("device", DEVICES, ids=str)
def test_the_peak_holds_what_was_used_and_given_back(device):
    forget_peak(device)
    before = peak_bytes(device)
    tensor = torch.ones(SIZE, dtype=torch.uint8, device=device)
    del tensor
    assert peak_bytes(device) - before > SIZE / 2


def test_what_was_used_before_is_forgotten_where_the_system_can():
    use(SIZE)
    high = peak_bytes(CPU)
    forget_peak(CPU)
    assert (high - peak_bytes(CPU) > SIZE / 2) is can_forget()


def test_where_the_system_keeps_its_mark_it_is_that_of_the_process(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "_FORGET", tmp_path)  # a folder: writing to it fails as where it is forbidden
    use(SIZE)
    high = peak_bytes(CPU)
    forget_peak(CPU)
    assert peak_bytes(CPU) >= high


def test_without_proc_the_peak_is_that_of_getrusage_in_bytes(monkeypatch):
    there = peak_bytes(CPU)
    for name in ("_FORGET", "_STATUS"):
        monkeypatch.setattr(memory, name, Path("/nowhere"))
    forget_peak(CPU)
    assert peak_bytes(CPU) >= 0.9 * there
