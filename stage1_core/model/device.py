"""Which device this machine computes on."""

from __future__ import annotations

import os

import torch

from stage1_core.errors import ModelError

VARIABLE = "STAGE1_DEVICE"
"""Environment variable: auto (the default), cpu or cuda. It says where, never what, so no result depends on it."""


def best_device() -> str:
    """``"cuda"`` where there is a usable GPU, else ``"cpu"``, unless ``STAGE1_DEVICE`` insists on one of them.

    Raises `ModelError` when it insists on a GPU that is not there, or says anything else.
    """
    wanted, has_gpu = os.environ.get(VARIABLE, "auto"), torch.cuda.is_available()
    if wanted not in ("auto", "cpu", "cuda"):
        raise ModelError(f"{VARIABLE} is {wanted!r}; set it to auto, cpu or cuda")
    if wanted == "cuda" and not has_gpu:
        raise ModelError(f"{VARIABLE} is 'cuda', but PyTorch finds no usable GPU here; set auto to allow the CPU")
    return "cuda" if has_gpu and wanted != "cpu" else "cpu"
