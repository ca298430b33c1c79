"""The most memory that was in use since it was last asked to forget."""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path

import torch

_FORGET, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


def forget_peak(device: torch.device) -> None:
    """Begin anew: of the device on a GPU; of the process on a CPU, where the system can forget (Linux)."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif _FORGET.exists():
        try:
            _FORGET.write_text("5")  # resets the high-water mark, see proc(5)
        except OSError:  # a container may forbid it: the mark is then that of the process so far
            return


def peak_bytes(device: torch.device) -> int:
    """Highest use since `forget_peak`, of the device on a GPU, of the whole process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if _STATUS.exists() and (found := _PEAK.search(_STATUS.read_text())):
        return 1024 * int(found[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # bytes there, KiB on other systems
