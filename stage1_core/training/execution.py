"""Where and in which precision training computes: accelerate, on CPU, one GPU or several."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from torch import Tensor, nn

from stage1_core.model.device import best_device
from stage1_core.model.head import HeadOutput

log = logging.getLogger(__name__)

Precision = Literal["auto", "fp32", "bf16", "fp16"]
"""Of matrix products while fitting; weights stay in float32. "auto": bf16 or else fp16 on a GPU, fp32 on a CPU."""

Forward = Callable[[Tensor], HeadOutput]


def make_accelerator(precision: Precision) -> Accelerator:
    """The accelerator of this process. fp16 needs a GPU: on a CPU it becomes fp32, and the log says so."""
    # accelerate keeps the precision of a process's first Accelerator for good; a process may train several models
    AcceleratorState._reset_state()
    has_gpu = best_device() == "cuda"
    resolved = precision
    if precision == "auto":
        resolved = "fp32" if not has_gpu else "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    if resolved == "fp16" and not has_gpu:
        log.warning("fp16 needs a GPU and there is none: training in fp32")
        resolved = "fp32"
    avoids_gpu = torch.cuda.is_available() and not has_gpu
    return Accelerator(cpu=avoids_gpu, mixed_precision="no" if resolved == "fp32" else resolved)


def is_main_process() -> bool:
    """Whether this process is the one of a shared training that writes and reports; only while or after it trains."""
    main: bool = PartialState().is_main_process
    return main


def compiled_forward(model: nn.Module, example: Tensor) -> Forward:
    """``model`` through torch.compile, or as it is where compiling fails, which the log says.

    ``example`` is a small batch of inputs on the model's device; compiling happens here, once, and not in the loop.
    The state of the model, its names included, is untouched.
    """
    compiled: Forward = torch.compile(model, dynamic=True)
    try:
        with torch.no_grad():
            compiled(example)
        compiled(example)
    # torch raises what the backend, the C++ compiler or the operating system raised, most of it RuntimeError or OSError
    except (RuntimeError, OSError, ImportError, torch._dynamo.exc.TorchDynamoException) as error:
        log.warning("torch.compile is not available (%s): training without it", _first_line(error))
        return model
    return compiled


@contextmanager
def threads(count: int) -> Iterator[None]:
    """PyTorch computes with ``count`` threads inside the block: sums, and so last bits, depend on their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def sum_over_processes(accelerator: Accelerator, values: Tensor) -> Tensor:
    """``values`` summed over all processes; the same object where there is only one."""
    if accelerator.num_processes == 1:
        return values
    total: Tensor = accelerator.reduce(values, reduction="sum")
    return total


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
