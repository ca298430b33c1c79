"""A process that holds the lease of a model's aliases until it is ended."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.live.servers import ROOT

PROGRAM = """
import sys, time
from tasks.registry_lease import registry_lease
with registry_lease(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


@contextmanager
def holder_of(model: str, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """It holds the lease from the beginning of the block."""
    command = [sys.executable, "-c", PROGRAM, model]
    with subprocess.Popen(command, env=dict(environment), cwd=ROOT, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            yield holder
        finally:
            holder.kill()
