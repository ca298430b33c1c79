"""Files whose locks stand for what only one may have."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tasks._file_locks import first_free

HOLD = """
import sys, time
from pathlib import Path
from tasks._file_locks import first_free
with first_free([Path(sys.argv[1])]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [tmp_path / "first", tmp_path / "second"]


def test_each_holder_has_one_of_its_own(files):
    with first_free(files) as mine, first_free(files) as yours:
        assert (mine, yours) == (0, 1)


def test_what_is_given_back_is_free_again(files):
    with first_free(files), first_free(files):
        pass
    with first_free(files) as again:
        assert again == 0


def test_whoever_waits_in_vain_is_told_in_time(files):
    begun = time.monotonic()
    with first_free(files[:1]), pytest.raises(TimeoutError), first_free(files[:1], seconds=0.5):
        pytest.fail("two hold it")
    assert time.monotonic() - begun < 10


def test_a_killed_holder_holds_nothing(files):
    with subprocess.Popen([sys.executable, "-c", HOLD, str(files[0])], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with first_free(files) as other:
            assert other == 1
        holder.kill()
    with first_free(files, seconds=5) as freed:
        assert freed == 0


def test_processes_that_a_holder_has_forked_keep_nothing(files):
    with first_free(files):
        child = os.fork()
        if not child:
            signal.pause()
    try:
        with first_free(files) as freed:
            assert freed == 0
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
