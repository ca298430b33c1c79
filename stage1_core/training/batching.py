"""Find the batch size: the largest of a ladder that fits in memory, forward and backward."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Literal

import torch
from pydantic import Field

from stage1_core.config import FrozenModel
from stage1_core.errors import ModelError
from stage1_core.training.accumulation import AccumulationConfig, WholeAccumulation

log = logging.getLogger(__name__)

BatchSize = Annotated[int, Field(ge=1, le=65536)]


class BatchConfig(FrozenModel):
    """Sizes of micro-batches and how they make up a step."""

    sizes: Annotated[tuple[BatchSize, ...], Field(min_length=1)] = (64, 32)
    """Rows of a micro-batch, over all processes together: tried in this order until one fits in memory."""
    accumulation: AccumulationConfig = WholeAccumulation()
    """Micro-batches for each optimizer step."""
    drop_last: bool = False
    """Leave out an epoch's short last micro-batch."""
    loss_average: Literal["rows", "batches"] = "rows"
    """Whether logged losses weigh every row the same or, as historically, every micro-batch, short ones included."""


class UsedBatch(FrozenModel):
    """Rows of a training's micro-batches, over all processes together."""

    asked: BatchSize
    """The first of `BatchConfig.sizes`."""
    used: BatchSize
    """The one that fitted in memory."""


def comparable_sizes(batches: Mapping[str, Sequence[UsedBatch]]) -> dict[str, int]:
    """Rows of the micro-batches of each recipe, from those of its trainings.

    Raises `ModelError` where memory made them unequal: some trainings had to take less than they asked for, and not all
    took the same.
    """
    found = {(name, batch.asked, batch.used) for name, trainings in batches.items() for batch in trainings}
    if any(asked != used for _, asked, used in found) and len({used for _, _, used in found}) > 1:
        said = ", ".join(f"{name} used {used} of {asked}" for name, asked, used in sorted(found))
        raise ModelError(
            f"recipes cannot be compared that trained with unequal batches because of memory (rows: {said}); begin "
            "batch.sizes of all of them with a size that fits for each"
        )
    return {name: used for name, _, used in found}


def largest_that_fits(sizes: Sequence[int], attempt: Callable[[int], None]) -> int:
    """The first of ``sizes`` for which ``attempt`` does not run out of memory; says when it goes down.

    Any other error is raised. Raises `ModelError` where not even the last size fits.
    """
    for position, size in enumerate(sizes):
        try:
            attempt(size)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            if position + 1 == len(sizes):
                raise ModelError(
                    f"a batch of {size} does not fit in memory, the smallest of {tuple(sizes)}; add a smaller one"
                ) from error
            log.warning("a batch of %d does not fit in memory: trying %d", size, sizes[position + 1])
        else:
            return size
    raise ModelError("no batch size to try; give at least one")


@contextmanager
def memory_explained(size: int) -> Iterator[None]:
    """Raise `ModelError` where the block, training with micro-batches of ``size``, runs out of memory after all."""
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise ModelError(
            f"training ran out of memory with batches of {size}, which had fitted forward and backward: the optimizer "
            "needs memory too, and other programs may; begin batch.sizes with a smaller one"
        ) from error


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether the GPU or the host ran out of memory."""
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in text or "can't allocate memory" in text
