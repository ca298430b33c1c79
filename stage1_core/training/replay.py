"""Passing over the same rows again within a step, as an optimizer does that needs a second gradient of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from stage1_core.training.update import Closure


class Replayable:
    """A closure whose second and later calls are of the same function as the first, and leave only gradients.

    Dropout drops the same units again, and buffers of ``modules`` are again as the first call found them, for a loss
    may depend on them. Afterwards they hold what the first call left: running statistics of batch normalisation, and
    what an objective counts or remembers.
    """

    def __init__(self, closure: Closure, modules: Sequence[nn.Module]) -> None:
        self._closure = closure
        self._modules = modules
        self._draws: list[Tensor] = []
        self._found: list[Tensor] = []

    def __call__(self) -> Tensor:
        """What the closure returns."""
        if not self._draws:
            self._draws = [generator.get_state() for generator in _generators()]
            self._found = [buffer.clone() for buffer in self._buffers()]
            return self._closure()
        for generator, draws in zip(_generators(), self._draws, strict=True):
            generator.set_state(draws)
        with _holding(self._buffers(), self._found):
            return self._closure()

    def _buffers(self) -> list[Tensor]:
        return [buffer for module in self._modules for buffer in module.buffers()]


def _generators() -> list[torch.Generator]:
    """What forward passes draw from: PyTorch's global generators, of the CPU and of each GPU."""
    return [torch.default_generator, *torch.cuda.default_generators]


@contextmanager
def _holding(buffers: Sequence[Tensor], values: Sequence[Tensor]) -> Iterator[None]:
    """Inside the block ``buffers`` hold ``values``, and afterwards again what they held before."""
    before = [buffer.clone() for buffer in buffers]
    _write(buffers, values)
    try:
        yield
    finally:
        _write(buffers, before)


@torch.no_grad()
def _write(buffers: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for buffer, value in zip(buffers, values, strict=True):
        buffer.copy_(value)
