"""Worker processes of this library end with the process that started them, however that one ends."""

from __future__ import annotations

import multiprocessing
import os
import threading


def end_with_parent(_worker: int = 0) -> None:
    """To be called first in a spawned or fork-served worker: it dies with its parent, even if that was killed.

    It would else wait for work for ever, and hold the pipe of its parent's output, by which an orchestrator sees that
    a run is over. A death signal of the kernel does not do: the parent it watches is the fork server.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
