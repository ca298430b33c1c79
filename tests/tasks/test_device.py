"""The slot that a step on a device holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace

import prefect
import pytest
import torch
from prefect.client.orchestration import get_client

from stage1_core.model.device import best_device
from tasks._device import SLOT_VARIABLE, device_slot
from tasks._task import effect

LIMIT = "test-gpu"


@pytest.fixture
def limit(workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A limit of one slot, which the pool names."""
    monkeypatch.setenv(SLOT_VARIABLE, LIMIT)
    with get_client(sync_client=True) as client:
        client.upsert_global_concurrency_limit_by_name(LIMIT, 1)
        yield LIMIT
        client.delete_global_concurrency_limit_by_name(LIMIT)


@pytest.fixture
def two_gpus(limit, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A machine with two GPUs, and a slot for each; which of them were made current ones, in order."""
    current: list[int] = []

    @contextmanager
    def made_current(index: int) -> Iterator[None]:
        current.append(index)
        yield

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: SimpleNamespace(uuid=f"GPU-{index}"))
    monkeypatch.setattr(torch.cuda, "device", made_current)
    with get_client(sync_client=True) as client:
        client.upsert_global_concurrency_limit_by_name(limit, 2)
    return current


def slots_in_use() -> int:
    with get_client(sync_client=True) as client:
        return client.read_global_concurrency_limit_by_name(LIMIT).active_slots


@effect
def compute(fails: bool) -> tuple[str, int]:
    """The device, and the slots in use while it computes."""
    with device_slot() as device:
        if fails:
            raise OSError("the disk is full")
        return device, slots_in_use()


@prefect.flow
def run(fails: bool = False) -> tuple[str, int]:
    return compute(fails)


def test_a_step_holds_the_slot_of_its_pool_while_it_computes(limit):
    assert run() == (best_device(), 1)
    assert slots_in_use() == 0


def test_a_step_that_fails_gives_its_slot_back(limit):
    assert run(fails=True, return_state=True).is_failed()
    assert slots_in_use() == 0


def test_a_slot_that_nobody_has_made_stops_the_step(workspace, monkeypatch):
    monkeypatch.setenv(SLOT_VARIABLE, "nobody-made-this")
    assert run(return_state=True).is_failed()


def test_a_gpu_pool_without_a_gpu_says_so(limit, monkeypatch, caplog):
    monkeypatch.setenv("STAGE1_DEVICE", "cpu")
    run()
    assert "has no GPU: computing on the CPU" in caplog.text


def test_two_steps_at_once_have_a_gpu_each(two_gpus):
    with device_slot() as first, device_slot() as second:
        assert (first, second) == ("cuda:0", "cuda:1")
        assert slots_in_use() == 2
    assert two_gpus == [0, 1]  # also what says just "cuda" computes there


def test_a_step_takes_the_gpu_that_another_gave_back(two_gpus):
    with ExitStack() as first:
        first.enter_context(device_slot())
        with device_slot():
            first.close()
            with device_slot() as third:
                assert third == "cuda:0"


def test_a_gpu_is_the_same_under_another_number(two_gpus, monkeypatch):
    with device_slot() as first:
        assert first == "cuda:0"
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: SimpleNamespace(uuid=f"GPU-{1 - index}"))
        with device_slot() as second:
            assert second == "cuda:0"
