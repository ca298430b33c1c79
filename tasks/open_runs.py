"""MLflow runs that a flow has opened and that must not be called running when it is over."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from tasks.tracking import client

log = logging.getLogger(__name__)

_OPENED: ContextVar[list[str] | None] = ContextVar("opened", default=None)


def note_opened(run_id: str) -> None:
    """Remember a run for the flow that opens it; outside of `open_runs_closed` nobody closes it."""
    opened = _OPENED.get()
    if opened is not None:
        opened.append(run_id)


@contextmanager
def open_runs_closed() -> Iterator[None]:
    """Runs noted within and still running are marked FAILED when an error leaves the block, KILLED when a signal does.

    A process that is killed outright marks nothing: its run goes on when the process is resumed.
    """
    opened: list[str] = []
    token = _OPENED.set(opened)
    try:
        yield
    except Exception:
        _close(opened, "FAILED")
        raise
    except BaseException:
        _close(opened, "KILLED")
        raise
    finally:
        _OPENED.reset(token)


def _close(run_ids: list[str], status: str) -> None:
    """The error that ended the flow is the news; that MLflow cannot be told is none."""
    try:
        for run_id in run_ids:
            if client().get_run(run_id).info.status == "RUNNING":
                client().set_terminated(run_id, status)
    except Exception:
        log.exception("MLflow was not told that %s ended", ", ".join(run_ids))
