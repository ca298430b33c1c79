"""Starts services step by step, watches them, and stops the steps in the opposite order."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from threading import Event
from types import FrameType

from deployments.stack.service import Job, Service, Step
from deployments.stack.tenancy import MARK, end_members, mark
from stage1_core.errors import Stage1Error

SECONDS_BETWEEN_LOOKS = 0.2
LINES_OF_A_LOG = 20
PARENT_DEATH_SIGNAL = 1
"""Of Linux's prctl."""


@dataclass(frozen=True, slots=True)
class Running:
    """A service's process and its log."""

    service: Service
    process: subprocess.Popen[bytes]
    log: Path
    since: float
    """Monotonic seconds."""

    def require_alive(self) -> None:
        """Raises `Stage1Error` with the end of the log."""
        if self.process.poll() is not None:
            raise _failure(self.service.name, f"ended with {self.process.returncode}", self.log)


@dataclass(slots=True)
class Supervisor:
    """Runs the steps of one stack in ``folder``, which it holds."""

    folder: Path
    say: Callable[[str], None]
    """Is told when each service is ready and when it has stopped."""

    def run(self, steps: Sequence[Step], *, on_ready: Callable[[], None]) -> None:
        """Start all ``steps``, call ``on_ready``, and return when this process was asked to stop and all is stopped.

        Raises `Stage1Error` when a service ends by itself or a job fails, after everything else was stopped.
        """
        running: list[list[Running]] = []
        with asked_to_stop() as stop:
            try:
                for step in steps:
                    if not stop.is_set():
                        self._take(step, running, stop)
                if not stop.is_set():
                    on_ready()
                while not stop.wait(SECONDS_BETWEEN_LOOKS):
                    _require_all_alive(running)
            finally:
                for together in reversed(running):
                    self._stop(together)
                end_members(self.folder)

    def _take(self, step: Step, running: list[list[Running]], stop: Event) -> None:
        if isinstance(step, Job):
            self._do(step, running, stop)
            return
        together: list[Running] = []
        running.append(together)
        for service in step:
            together.append(self._start(service))
        waiting = together
        while waiting and not stop.wait(SECONDS_BETWEEN_LOOKS):
            _require_all_alive(running)
            waiting = [each for each in waiting if not self._is_ready(each)]

    def _is_ready(self, each: Running) -> bool:
        seconds = time.monotonic() - each.since
        if each.service.ready is None:
            self.say(f"{each.service.name} started")
            return True
        if each.service.ready():
            self.say(f"{each.service.name} ready after {seconds:.1f} s")
            return True
        if seconds > each.service.seconds_to_start:
            raise _failure(each.service.name, f"does not answer after {seconds:.0f} s", each.log)
        return False

    def _start(self, service: Service) -> Running:
        log = self._fresh_log(service.name)
        account = service.account
        with log.open("ab") as file:
            process = subprocess.Popen(
                service.command,
                env={**service.environment, MARK: mark(self.folder, service.name)},
                cwd=service.folder,
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=file,
                start_new_session=True,  # Ctrl-C reaches the supervisor alone, which then stops them in order
                preexec_fn=partial(_stop_with_parent, service.stop_signal) if sys.platform == "linux" else None,
                user=account.user if account else None,
                group=account.group if account else None,
                extra_groups=[] if account else None,
            )
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin as standard_input:  # whoever looks next sees why it ended
            standard_input.write(service.standard_input)
        return Running(service, process, log, time.monotonic())

    def _do(self, job: Job, running: list[list[Running]], stop: Event) -> None:
        service = Service(name=job.name, command=job.command, environment=job.environment)
        each = self._start(service)
        while each.process.poll() is None and not stop.wait(SECONDS_BETWEEN_LOOKS):
            _require_all_alive(running)
            if time.monotonic() - each.since > job.seconds:
                raise _failure(job.name, f"is not done after {job.seconds:.0f} s", each.log)
        if stop.is_set():
            return  # whoever stops everything else ends it too
        if each.process.returncode != 0:
            raise _failure(job.name, f"ended with {each.process.returncode}", each.log)
        self.say(f"{job.name} done after {time.monotonic() - each.since:.1f} s")

    def _stop(self, together: Sequence[Running]) -> None:
        """Ask the services of a step, wait, and end what they left running: runs can still report to the servers."""
        asked = time.monotonic()
        for each in together:
            if each.process.poll() is None:
                each.process.send_signal(each.service.stop_signal)
        for each in together:
            try:
                each.process.wait(max(0, each.service.seconds_to_stop - (time.monotonic() - asked)))
            except subprocess.TimeoutExpired:
                each.process.kill()
                each.process.wait()
            end_members(self.folder, each.service.name)
            self.say(f"{each.service.name} stopped")

    def _fresh_log(self, name: str) -> Path:
        """The log of the start before is kept once."""
        log = self.folder / f"{name}.log"
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        return log


@contextmanager
def asked_to_stop() -> Iterator[Event]:
    """An event that Ctrl-C, SIGTERM and a closed terminal set; a second request changes nothing."""
    stop = Event()

    def note(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    heeded = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]  # nohup ignores one
    before = {number: signal.signal(number, note) for number in heeded}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _require_all_alive(running: Sequence[Sequence[Running]]) -> None:
    for each in chain.from_iterable(running):
        each.require_alive()


def _failure(name: str, what: str, log: Path) -> Stage1Error:
    lines = log.read_text(errors="replace").splitlines()[-LINES_OF_A_LOG:]
    return Stage1Error("\n".join([f"{name} {what}; correct what its log says, {log}:", *lines]))


def _stop_with_parent(stop_signal: signal.Signals) -> None:
    """Runs in the new process: where the supervisor is killed, the kernel sends ``stop_signal``."""
    ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, int(stop_signal))
