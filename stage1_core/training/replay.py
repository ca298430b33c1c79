"""Passing over the same rows again within a step, as an optimizer does that needs a second gradient of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from stage1_core.training.update import Closure


class Replayable:
    """A closure whose second and later calls are of the same function as the first, and leave only gradients.

    Dropout drops the same units again, and buffers of ``modules`` keep what the first call left in them: running
    statistics of batch normalisation, and what an objective counts.
    """

    def __init__(self, closure: Closure, modules: Sequence[nn.Module]) -> None:
        self._closure = closure
        self._modules = modules
        self._draws: list[Tensor] = []

    def __call__(self) -> Tensor:
        """What the closure returns."""
        if not self._draws:
            self._draws = [generator.get_state() for generator in _generators()]
            return self._closure()
        for generator, draws in zip(_generators(), self._draws, strict=True):
            generator.set_state(draws)
        with _unchanged_buffers(self._modules):
            return self._closure()


def _generators() -> list[torch.Generator]:
    """What forward passes draw from: PyTorch's global generators, of the CPU and of each GPU."""
    return [torch.default_generator, *torch.cuda.default_generators]


@contextmanager
def _unchanged_buffers(modules: Sequence[nn.Module]) -> Iterator[None]:
    buffers = [buffer for module in modules for buffer in module.buffers()]
    before = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)
