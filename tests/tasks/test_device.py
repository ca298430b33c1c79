"""The slot that a step on a device holds."""

from __future__ import annotations

from collections.abc import Iterator

import prefect
import pytest
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
