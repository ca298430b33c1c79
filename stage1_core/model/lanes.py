"""Threads that decode pictures and, on a CPU, run the network on them."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from stage1_core.data.features import Float32
from stage1_core.data.loading import available_cores
from stage1_core.data.pictures import open_picture
from stage1_core.data.transforms import EvalTransform
from stage1_core.model.inference import BatchedForward

Picture = tuple[str, str]
"""(hex sha256, path)."""
Computed = tuple[Sequence[Picture], Float32]
"""Pictures and their features ``(n, hidden)``."""

# Small batches keep a CNN's activations in the processor's cache: four are up to twice as fast as 32.
_CPU_BATCH, _ACCELERATOR_BATCH = 4, 64
_MOST_LANES = 32


def default_batch_size(device: str | torch.device) -> int:
    """Pictures a forward pass."""
    return _CPU_BATCH if _is_cpu(device) else _ACCELERATOR_BATCH


def default_lanes() -> int:
    """One thread a core."""
    return min(_MOST_LANES, available_cores())


def in_lanes(
    pictures: Sequence[Picture], transform: EvalTransform, forward: BatchedForward, *, lanes: int
) -> Generator[Computed]:
    """Batches and their features in order, decoding ahead in threads (Pillow and PyTorch let go of the interpreter).

    On a CPU all batches but the last are whole, whatever the number of lanes: a place in a batch can change a picture's
    last bit. Elsewhere few pictures are cut so that every lane has some to decode.
    """
    network_in_lanes = _is_cpu(forward.device)
    size = forward.batch_size if network_in_lanes else max(1, min(forward.batch_size, -(-len(pictures) // lanes)))

    def decoded(batch: Sequence[Picture]) -> Tensor:
        return torch.from_numpy(np.stack([transform.pixels(open_picture(path, sha256=sha)) for sha, path in batch]))

    def work(batch: Sequence[Picture]) -> Tensor | Float32:
        return forward(decoded(batch)) if network_in_lanes else decoded(batch)

    def finished(batch: Sequence[Picture], future: Future[Tensor | Float32]) -> Computed:
        made = future.result()
        return batch, forward(made) if isinstance(made, Tensor) else made

    pool = ThreadPoolExecutor(lanes, thread_name_prefix="extract")
    ahead: deque[tuple[Sequence[Picture], Future[Tensor | Float32]]] = deque()
    try:
        for start in range(0, len(pictures), size):
            batch = pictures[start : start + size]
            ahead.append((batch, pool.submit(work, batch)))
            if len(ahead) > 2 * lanes:
                yield finished(*ahead.popleft())
        while ahead:
            yield finished(*ahead.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def one_thread_an_operation() -> Iterator[None]:
    """Lanes of one thread beat one lane whose threads wait for each other, and sums do not depend on their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _is_cpu(device: str | torch.device) -> bool:
    return torch.device(device).type == "cpu"
