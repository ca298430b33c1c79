"""Real worker processes on this machine; each test starts its own and takes some three seconds."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from stage1_core.compute import DaskCompute, DaskLocalCompute, fan_out
from stage1_core.compute.fan_out import ITEMS_AHEAD
from stage1_core.errors import ComputeError, DataError, PhaseRejected

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("workers_find_the_tests")]

TWO = DaskLocalCompute(workers=2)


@pytest.fixture
def workers_find_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2])


def squared_by(item: int) -> tuple[int, int]:
    time.sleep(0.02)  # work, so that one worker cannot take it all
    return item * item, os.getpid()


def refused(folder: Path) -> int:
    (folder / f"{time.monotonic_ns()}").touch()
    raise DataError("9.png is not a picture; run the audit again")


def rejected(item: int) -> int:
    raise PhaseRejected("rejected", {"verdict": "FAIL", "item": item})


def killed_once(item: tuple[Path, int]) -> int:
    marker, number = item
    if number == 3 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def killed_always(item: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return item


def slow(fails: bool) -> int:
    time.sleep(0.5)
    if fails:
        raise TimeoutError("the network disk did not answer")
    return os.getpid()


def counted(items: range, taken: list[int]) -> Iterator[int]:
    for item in items:
        taken.append(item)
        yield item


def worker_processes() -> list[psutil.Process]:
    """This process's children, but for what Python keeps to track shared resources."""
    return [child for child in psutil.Process().children(recursive=True) if "spawn_main" in " ".join(child.cmdline())]


def test_results_come_in_order_from_other_processes_of_which_none_is_left():
    results = list(TWO.map(squared_by, range(40)))
    assert [square for square, _ in results] == [number**2 for number in range(40)]
    processes = {process for _, process in results}
    assert len(processes) == 2
    assert os.getpid() not in processes
    assert worker_processes() == []


def test_nobody_else_can_reach_it():
    from distributed import Client

    with DaskLocalCompute(workers=1)._client() as client:
        processes = [psutil.Process(), *worker_processes()]
        found = [each for process in processes for each in process.net_connections() if each.status == "LISTEN"]
        assert len(found) >= len(processes)
        assert {each.laddr.ip for each in found} == {"127.0.0.1"}
        with pytest.raises(OSError, match="closed"):
            Client(client.scheduler.address.replace("tls://", "tcp://"), timeout=2, set_as_default=False)


def test_a_slow_caller_finds_few_items_taken():
    taken: list[int] = []
    results = TWO.map(squared_by, counted(range(1000), taken))
    next(results)
    time.sleep(0.5)
    assert len(taken) <= ITEMS_AHEAD * 2 + 1
    results.close()
    assert worker_processes() == []


def test_an_error_arrives_as_it_was_and_ends_the_rest(tmp_path):
    with pytest.raises(DataError, match=r"^9\.png is not a picture; run the audit again$"):
        list(TWO.map(refused, [tmp_path] * 100))
    assert len(list(tmp_path.iterdir())) <= ITEMS_AHEAD * 2 + 1
    assert worker_processes() == []


def test_what_an_error_carries_arrives_too():
    with pytest.raises(PhaseRejected) as caught:
        list(TWO.map(rejected, [7]))
    assert caught.value.report == {"verdict": "FAIL", "item": 7}


def test_work_may_take_longer_than_one_waits_for_workers(monkeypatch):
    monkeypatch.setattr(fan_out, "SECONDS_WITHOUT_WORKERS", 0.1)
    (process,) = DaskLocalCompute(workers=1).map(slow, [False])
    assert process != os.getpid()
    with pytest.raises(TimeoutError, match="the network disk did not answer"):
        list(DaskLocalCompute(workers=1).map(slow, [True]))


def test_what_a_killed_worker_held_is_computed_again(tmp_path):
    marker = tmp_path / "killed"
    assert list(TWO.map(killed_once, [(marker, number) for number in range(12)])) == list(range(12))
    assert marker.exists()


def test_an_item_that_kills_every_worker_ends_the_work():
    with pytest.raises(ComputeError, match="killed one Dask worker after the other"):
        list(TWO.map(killed_always, [1]))
    assert worker_processes() == []


def test_workers_of_another_version_are_refused(monkeypatch):
    monkeypatch.setattr(fan_out, "library_digest", lambda: "0" * 64)
    with pytest.raises(ComputeError, match="another version of stage1_core"):
        list(DaskLocalCompute(workers=1).map(squared_by, [1]))


def test_no_scheduler_is_said_with_its_address(monkeypatch):
    monkeypatch.setattr("stage1_core.compute.dask_clusters.SECONDS_TO_CONNECT", 1)
    with pytest.raises(ComputeError, match=r"no Dask scheduler answers at 127\.0\.0\.1:9"):
        list(DaskCompute(address="127.0.0.1:9").map(abs, [1]))
