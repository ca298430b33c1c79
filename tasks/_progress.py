"""Progress of long steps: a bar on a terminal, a line now and then in a log, and a progress artifact in the page."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import cast
from uuid import UUID

import httpx
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.logging import get_run_logger
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

OnProgress = Callable[[int, int], None]

SECONDS_BETWEEN_UPDATES = 5.0
"""Each update of the artifact is a request to the server."""


@contextmanager
def progress(name: str) -> Iterator[OnProgress]:
    """A callback ``(done, total)`` for the step ``name``, to be called from a task run."""
    report = _Reporter(name)
    try:
        yield report
    finally:
        report.close()


class _Reporter:
    def __init__(self, name: str) -> None:
        self._name = name
        self._bar = _bar() if sys.stderr.isatty() else None
        self._row = self._bar.add_task(name, total=None) if self._bar else None
        self._artifact: UUID | None = None
        self._last = (0, 0)
        self._next_update = time.monotonic() + SECONDS_BETWEEN_UPDATES

    def __call__(self, done: int, total: int) -> None:
        self._last = done, total
        if self._bar is not None and self._row is not None:
            self._bar.update(self._row, completed=done, total=total)
        if time.monotonic() >= self._next_update:
            self._publish()

    def _publish(self) -> None:
        done, total = self._last
        with suppress(httpx.HTTPError):  # a server that is away for a minute must not end hours of work
            self._show(100 * done / total if total else 100.0)
        if self._bar is None:
            get_run_logger().info("%s: %d of %d", self._name, done, total)
        self._next_update = time.monotonic() + SECONDS_BETWEEN_UPDATES

    def _show(self, percent: float) -> None:
        if self._artifact is None:
            key = "progress-" + self._name.replace(" ", "-").lower()
            self._artifact = cast(UUID, create_progress_artifact(percent, key=key, description=self._name))
        else:
            update_progress_artifact(self._artifact, percent)

    def close(self) -> None:
        if self._artifact is not None:
            self._publish()
        if self._bar is not None:
            self._bar.stop()


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True))
    bar.start()
    return bar
