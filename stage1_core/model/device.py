"""Which device this machine computes on."""

from __future__ import annotations

import torch


def best_device() -> str:
    """``"cuda"`` where there is a usable GPU, else ``"cpu"``."""
    return "cuda" if torch.cuda.is_available() else "cpu"
