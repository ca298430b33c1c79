"""Locks that are files. The system frees one when the process that holds it ends, however it ends."""

from __future__ import annotations

import fcntl
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

SECONDS_BETWEEN_LOOKS = 0.2


@contextmanager
def first_free(files: Sequence[Path], *, seconds: float = math.inf) -> Iterator[int]:
    """Hold the first of ``files`` that nobody else holds, another thread included, and say which.

    Waits until one is given back; raises `TimeoutError` when that takes longer than ``seconds``.
    """
    with ExitStack() as opened:
        locks = [opened.enter_context(file.open("a")) for file in files]
        number = _hold_one(locks, seconds)
        try:
            yield number
        finally:
            fcntl.flock(locks[number], fcntl.LOCK_UN)  # closing is not enough while a forked process has it open


def _hold_one(locks: Sequence[IO[str]], seconds: float) -> int:
    deadline = time.monotonic() + seconds
    while True:
        for number, lock in enumerate(locks):
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return number
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(SECONDS_BETWEEN_LOOKS)
