"""The device of a step, and the slot that its pool gives for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from prefect.concurrency.sync import concurrency
from prefect.logging import get_run_logger

from stage1_core.model.device import best_device
from tasks._file_locks import first_free
from tasks._workspace import lock_file

SLOT_VARIABLE = "STAGE1_GPU_SLOT"
"""Name of the Prefect concurrency limit that a step on a device holds; set by the GPU pool, absent elsewhere."""

LEASE_SECONDS = 60.0
"""A killed holder blocks the device no longer than this; a living one renews its lease."""


@contextmanager
def device_slot() -> Iterator[str]:
    """The device for a step, to be entered in a task run: ``"cpu"``, ``"cuda"``, or in a GPU pool ``"cuda:1"``.

    In a pool it waits until a GPU of this machine and a slot are free; plain ``"cuda"`` means that GPU too, in this
    thread. The GPU comes first: a slot that waited for one here would keep one elsewhere idle.

    Raises `ModelError` when the worker has no GPU and ``STAGE1_DEVICE`` insists on one; otherwise a step that was sent
    to a GPU pool says that it computes on the CPU.
    """
    limit = os.environ.get(SLOT_VARIABLE)
    if not limit:
        yield best_device()
        return
    with (
        _device_of_its_own() as device,
        concurrency(limit, strict=True, lease_duration=LEASE_SECONDS, raise_on_lease_renewal_failure=False),
    ):
        yield device


@contextmanager
def _device_of_its_own() -> Iterator[str]:
    """A GPU that no other run of this workspace computes on; processes may number GPUs differently, hence the uuid."""
    if best_device() == "cpu":
        get_run_logger().warning("this worker serves a GPU pool and has no GPU: computing on the CPU")
        yield "cpu"
        return
    gpus = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    with first_free([lock_file(f"gpu-{gpu.uuid}") for gpu in gpus]) as index, torch.cuda.device(index):
        yield f"cuda:{index}"
