"""One seed for every generator, and the switches that make computations repeat."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from stage1_core.predictions import Integer

RandomState = dict[str, Any]
"""States of python's, numpy's and torch's global generators."""


class RandomStreams:
    """The global generators as one training sees them, apart from the rest of the program.

    Dropout and library code draw from global generators. These are installed only while training computes, so that
    what the caller draws between two epochs changes nothing, and training changes nothing of the caller's.
    """

    def __init__(self, seed: int, *, process: int = 0) -> None:
        root = np.random.SeedSequence([seed, process])
        for_python, for_numpy, for_torch = (int(part) for part in root.generate_state(3))
        outer = capture_random_state()
        random.seed(for_python)
        np.random.seed(for_numpy)  # the global generator is what libraries draw from
        torch.manual_seed(for_torch)
        self.state = capture_random_state()
        restore_random_state(outer)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Inside the block the global generators are this training's; their progress is kept for the next block."""
        outer = capture_random_state()
        restore_random_state(self.state)
        try:
            yield
        finally:
            self.state = capture_random_state()
            restore_random_state(outer)


def capture_random_state() -> RandomState:
    """States of the python, numpy and torch global generators, that of the current CUDA device included.

    A training that is continued goes on with it on whichever GPU it gets then.
    """
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state(legacy=False),
        "torch": torch.get_rng_state(),
        "cuda": [torch.cuda.get_rng_state()] if torch.cuda.is_available() else [],
    }


def restore_random_state(state: RandomState) -> None:
    """Put back what `capture_random_state` returned."""
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"][0])


def epoch_order(seed: int, epoch: int, rows: int) -> Integer:
    """A permutation of ``rows`` rows that depends on the seed and the epoch alone, so that it needs no saved state."""
    order: Integer = np.random.default_rng([seed, epoch]).permutation(rows)
    return order


@contextmanager
def repeatable() -> Iterator[None]:
    """Deterministic algorithms inside the block, and TF32 for matrix products where CUDA is used; restored after it.

    An operation without a deterministic form warns and runs: a warning is better than a training that cannot start.
    """
    # read by cuBLAS when its first handle is made
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    switches: Any = torch.utils.deterministic  # a module whose attribute is made at run time
    fills = switches.fill_uninitialized_memory
    cudnn = (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark)
    precision = torch.get_float32_matmul_precision()
    torch.use_deterministic_algorithms(True, warn_only=True)
    switches.fill_uninitialized_memory = False  # costs a tenth of the time; nothing here reads it
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    if torch.cuda.is_available():
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        switches.fill_uninitialized_memory = fills
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = cudnn
        if torch.cuda.is_available():
            torch.set_float32_matmul_precision(precision)
