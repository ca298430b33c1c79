"""What a stack is made of: services that go on running, and jobs that end."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deployments.stack.account import Account


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A process that runs until it is told to stop; ending by itself is a failure."""

    name: str
    """Names its log and its lines on the terminal."""
    command: tuple[str, ...]
    """Without secrets: everybody on the machine can read it."""
    environment: Mapping[str, str] = field(repr=False)
    """All of it; nothing is inherited."""
    ready: Callable[[], bool] | None = field(default=None, repr=False)
    """Asked again and again until true; raises `Stage1Error` where it never will be. None: nobody waits for it."""
    standard_input: bytes = field(default=b"", repr=False)
    """What the process reads first; a place for a secret."""
    account: Account | None = None
    """Whom it runs as; None is whoever started the stack."""
    folder: Path | None = None
    """Where it works; None is where the stack was started."""
    stop_signal: signal.Signals = signal.SIGTERM
    """What it takes for a request to end cleanly."""
    seconds_to_start: float = 180.0
    seconds_to_stop: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A process that does its work and ends, with 0 where all is well."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    seconds: float = 300.0
    """Time that it may take."""


Step = tuple[Service, ...] | Job
"""Services that start together, or a job."""
