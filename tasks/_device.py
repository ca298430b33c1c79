"""The device of a step, and the slot that its pool gives for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from prefect.concurrency.sync import concurrency
from prefect.logging import get_run_logger

from stage1_core.model.device import best_device

SLOT_VARIABLE = "STAGE1_GPU_SLOT"
"""Name of the Prefect concurrency limit that a step on a device holds; set by the GPU pool, absent elsewhere."""

LEASE_SECONDS = 60.0
"""A killed holder blocks the device no longer than this; a living one renews its lease."""


@contextmanager
def device_slot() -> Iterator[str]:
    """``"cuda"`` or ``"cpu"`` for a step, to be entered in a task run; waits until the pool has a slot free.

    Raises `ModelError` when the worker has no GPU and ``STAGE1_DEVICE`` insists on one; otherwise a step that was sent
    to a GPU pool says that it computes on the CPU.
    """
    device, limit = best_device(), os.environ.get(SLOT_VARIABLE)
    if not limit:
        yield device
        return
    if device == "cpu":
        get_run_logger().warning("this worker serves a GPU pool and has no GPU: computing on the CPU")
    with concurrency(limit, strict=True, lease_duration=LEASE_SECONDS, raise_on_lease_renewal_failure=False):
        yield device
