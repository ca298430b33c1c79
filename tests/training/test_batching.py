from __future__ import annotations

import pytest
import torch

from stage1_core.errors import ModelError
from stage1_core.training.batching import UsedBatch, comparable_sizes, largest_that_fits, memory_explained


def fits_up_to(limit, error):
    def attempt(size):
        tried.append(size)
        if size > limit:
            raise error

    tried: list[int] = []
    return attempt, tried


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
    ids=["torch", "cuda", "cpu"],
)
def test_the_first_size_that_fits_is_taken_and_smaller_ones_are_announced(error, caplog):
    attempt, tried = fits_up_to(20, error)
    assert largest_that_fits((64, 32, 16, 8), attempt) == 16
    assert tried == [64, 32, 16]
    assert [record.getMessage()[:15] for record in caplog.records] == ["a batch of 64 d", "a batch of 32 d"]


def test_a_first_size_that_fits_is_not_talked_about(caplog):
    assert largest_that_fits((64, 32), lambda size: None) == 64
    assert not caplog.records


def test_other_errors_are_not_taken_for_lack_of_memory():
    attempt, tried = fits_up_to(0, RuntimeError("expected a matrix"))
    with pytest.raises(RuntimeError, match="expected a matrix"):
        largest_that_fits((64, 32), attempt)
    assert tried == [64]


def test_when_nothing_fits_the_error_says_to_add_a_smaller_size():
    attempt, _ = fits_up_to(0, torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(ModelError, match=r"32 does not fit in memory, the smallest of \(64, 32\); add a smaller"):
        largest_that_fits((64, 32), attempt)


def used(*sizes, asked=64):
    return [UsedBatch(asked=asked, used=size) for size in sizes]


@pytest.mark.parametrize(
    ("batches", "sizes"),
    [
        ({"frozen": used(64, 64), "full": used(64, 64)}, {"frozen": 64, "full": 64}),
        ({"frozen": used(32), "full": used(32)}, {"frozen": 32, "full": 32}),
        ({"frozen": used(64), "selective": used(256, asked=256)}, {"frozen": 64, "selective": 256}),
        ({"frozen": used(32, asked=32), "full": used(32)}, {"frozen": 32, "full": 32}),
    ],
    ids=["as asked", "all smaller", "as asked, unequal", "smaller, and asked for"],
)
def test_batches_that_memory_did_not_make_unequal_may_be_compared(batches, sizes):
    assert comparable_sizes(batches) == sizes


@pytest.mark.parametrize(
    "batches",
    [
        {"frozen": used(64, 64), "full": used(32, 32)},
        {"frozen": used(64, 64), "full": used(64, 32)},
        {"frozen": used(64), "selective": used(128, asked=256)},
    ],
    ids=["an arm", "a seed", "of its own size"],
)
def test_batches_that_memory_made_unequal_are_refused_by_name(batches):
    with pytest.raises(ModelError, match=r"unequal batches because of memory \(rows: .*(32 of 64|128 of 256)"):
        comparable_sizes(batches)


def test_running_out_of_memory_while_training_says_what_to_do():
    with pytest.raises(ModelError, match=r"batches of 64.* begin batch.sizes with a smaller"), memory_explained(64):
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_other_errors_while_training_stay_what_they_are():
    with pytest.raises(RuntimeError, match="expected a matrix"), memory_explained(64):
        raise RuntimeError("expected a matrix")
