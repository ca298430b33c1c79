"""A Dask scheduler and two workers as an operator starts them. Takes about a minute."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from stage1_core.compute import DaskCompute, fan_out
from stage1_core.compute.choice import VARIABLE, chosen_compute
from stage1_core.errors import ComputeError, DataError
from tests.live.servers import Running, clean_environment, free_port, started
from tests.model.test_extraction import extract, files_of, made_rows

SECONDS = 60.0


def dask(*words: str, log: Path) -> Running:
    return Running([sys.executable, "-m", "dask", *words], clean_environment(), log)


def dask_worker(address: str, folder: Path, name: str) -> Running:
    words = ("--nthreads", "1", "--no-dashboard", "--name", name, "--local-directory", str(folder / name))
    return dask("worker", f"tcp://{address}", *words, log=folder / f"{name}.log")


@pytest.fixture
def address() -> str:
    return f"127.0.0.1:{free_port()}"


@pytest.fixture
def scheduler(address: str, tmp_path: Path) -> Iterator[Running]:
    host, port = address.split(":")
    running = dask("scheduler", "--host", host, "--port", port, "--no-dashboard", log=tmp_path / "scheduler.log")
    with started(running):
        yield running


@pytest.fixture
def workers(scheduler: Running, address: str, tmp_path: Path) -> Iterator[list[Running]]:
    running = [dask_worker(address, tmp_path, name) for name in ("one", "two")]
    with started(*running):
        yield running


def computing_process(worker: Running) -> psutil.Process:
    """The process below its nanny."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        for child in psutil.Process(worker.pid).children(recursive=True):
            if "spawn_main" in " ".join(child.cmdline()):
                return child
        time.sleep(0.1)
    raise AssertionError(worker.text())


def test_running_workers_give_the_bits_of_this_process_though_one_is_killed(workers, address, tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, f"dask://{address}")
    rows = made_rows(tmp_path / "pictures", 1500)
    here = extract(rows, tmp_path / "here")
    victim = computing_process(workers[0])

    def kill_in_the_middle(done: int, total: int) -> None:
        if total // 4 <= done < total // 2 and victim.is_running():
            victim.send_signal(signal.SIGKILL)

    elsewhere = extract(rows, tmp_path / "there", compute=chosen_compute(), on_progress=kill_in_the_middle)

    assert not victim.is_running()
    assert np.array_equal(elsewhere.values, here.values)
    assert files_of(tmp_path / "there") == files_of(tmp_path / "here")

    more = made_rows(tmp_path / "more", 70)
    more.loc[69, "path"] = str(tmp_path / "absent.png")
    with pytest.raises(DataError, match=r"absent\.png"):
        extract(more, tmp_path / "other", compute=chosen_compute())


def test_a_scheduler_without_workers_says_what_to_start(scheduler, address, monkeypatch):
    monkeypatch.setattr("stage1_core.compute.dask_clusters.SECONDS_TO_CONNECT", 5)
    with pytest.raises(ComputeError, match="has no workers; run on each machine: dask worker tcp://"):
        list(DaskCompute(address=address).map(abs, [-1]))


def test_a_lost_scheduler_ends_the_work(scheduler, workers, address):
    results = DaskCompute(address=address).map(abs, range(-500, 0))
    assert next(results) == 500
    scheduler.kill()
    with pytest.raises(ComputeError, match="scheduler was lost"):
        list(results)


def test_lost_workers_end_the_work(workers, address, monkeypatch):
    monkeypatch.setattr(fan_out, "SECONDS_WITHOUT_WORKERS", 2.0)
    results = DaskCompute(address=address).map(abs, range(-500, 0))
    assert next(results) == 500
    for worker in workers:
        worker.kill()
    with pytest.raises(ComputeError, match="no Dask worker for 2 s; start one"):
        list(results)
