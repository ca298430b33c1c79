"""One stack a workspace: the lock that goes with its process, and the end of what a killed one left running."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from stage1_core.errors import Stage1Error

MARK = "STAGE1_STACK_SERVICE"
"""Variable by which everything that a service has started is known: ``<folder of the stack>#<service>``."""
SECONDS_TO_STOP = 10.0
SECONDS_BETWEEN_LOOKS = 0.1


@contextmanager
def sole_stack(folder: Path) -> Iterator[None]:
    """Hold ``folder`` for this process, after ending what a killed predecessor left.

    Raises `Stage1Error` with the number of the process that holds it already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise Stage1Error(
                f"process {lock.read().strip()} serves {folder.parent} already; stop it, or set STAGE1_ARTIFACTS to "
                "another workspace"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        end_members(folder)
        yield


def mark(folder: Path, service: str) -> str:
    """What ``MARK`` is for ``service``."""
    return f"{folder}#{service}"


def members(folder: Path, service: str = "") -> list[psutil.Process]:
    """Running processes of the stack in ``folder``, or of one of its services: children of children too."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            said = process.environ().get(MARK, "")
            if said == mark(folder, service) if service else said.startswith(mark(folder, "")):
                found.append(process)
    return still_running(found)


def end_members(folder: Path, service: str = "") -> None:
    """SIGINT to databases and SIGTERM to all others; SIGKILL to what does not heed it."""
    found = members(folder, service)
    for process in found:
        with suppress(psutil.Error):
            process.send_signal(signal.SIGINT if process.name() == "postgres" else signal.SIGTERM)
    for process in _after_waiting(found):
        with suppress(psutil.Error):
            process.kill()
    _after_waiting(found)


def still_running(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that do something. One that ended is on the list of processes until its parent, perhaps never, asks."""
    found = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _after_waiting(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that run still after ``SECONDS_TO_STOP``."""
    deadline = time.monotonic() + SECONDS_TO_STOP
    while (processes := still_running(processes)) and time.monotonic() < deadline:
        time.sleep(SECONDS_BETWEEN_LOOKS)
    return processes
