"""One function over many items on the workers of a Dask client: in order, a few items ahead, errors as they were."""

from __future__ import annotations

import pickle
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeVar

from stage1_core.digests import library_digest
from stage1_core.errors import ComputeError

if TYPE_CHECKING:
    from distributed import Client, Future

Item = TypeVar("Item")
Result = TypeVar("Result")

ITEMS_AHEAD = 2
"""Items under way for each thread of the workers: one is computed while the next is at hand."""

SECONDS_WITHOUT_WORKERS = 60.0

_LOST = "the Dask scheduler was lost ({}); run the same command again"

_one_item_at_a_time = threading.Lock()


def fan_out(client: Client, function: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result]:
    """``function`` of each item on the workers of ``client``, results in the order of the items.

    ``function`` is sent to the workers once, items one by one; at most `ITEMS_AHEAD` items a worker thread are under
    way or done while the caller takes its time. An item whose worker dies is computed by another. What ``function``
    raises is raised here, and what has not begun by then never does.

    Raises `ComputeError` where the scheduler or all workers are lost, an item kills one worker after the other, or
    workers have another version of this library or of those it computes with.
    """
    import cloudpickle
    from dask import config

    library, waiting = library_digest(), deque["Future[Result]"]()
    try:
        with _own_errors(), config.set({"distributed.admin.large-graph-warning-threshold": "1 TiB"}):
            # A worker without this library would break off at the first message, and nobody would know why.
            client.run_on_scheduler(version, "stage1-pro")
            client.run(version, "stage1-pro")
            shared = client.submit(_unpacked, cloudpickle.dumps(function), pure=False)
        for item in items:
            with _own_errors():
                waiting.append(client.submit(_compute, shared, library, item, pure=False))
            ahead = ITEMS_AHEAD * _threads(client)
            while len(waiting) > ahead:
                yield _result(client, waiting.popleft())
        while waiting:
            yield _result(client, waiting.popleft())
    finally:
        for future in waiting:
            future.release()


def _unpacked(function: bytes) -> Any:
    """On a worker: the function, which others fetch from there, and which is made again if lost.

    Packed until then, so that the scheduler need not load what the function uses.
    """
    return pickle.loads(function)


def _compute(function: Callable[[Item], Result], library: str, item: Item) -> Result:
    """On a worker. Random generators and numbers of threads belong to the process, so its threads take turns."""
    if library_digest() != library:
        raise ComputeError(
            "a Dask worker has another version of stage1_core or of a numerical library than the process that asks; "
            "install the same on both, and start the worker again"
        )
    with _one_item_at_a_time:
        return function(item)


def _result(client: Client, future: Future[Result]) -> Result:
    with _own_errors():
        while True:
            try:
                return future.result(timeout=SECONDS_WITHOUT_WORKERS)
            except TimeoutError as error:
                if future.status == "error":
                    return future.result()  # raises what the function raised: its own timeout, or a later error
                if not _threads(client):
                    raise ComputeError(
                        f"there has been no Dask worker for {SECONDS_WITHOUT_WORKERS:g} s; start one, and run the same "
                        "command again"
                    ) from error


def _threads(client: Client) -> int:
    """Of all workers, which may come and go."""
    try:
        return sum(client.nthreads().values())
    except OSError as error:
        raise ComputeError(_LOST.format(error)) from error


@contextmanager
def _own_errors() -> Iterator[None]:
    """Dask's errors as `ComputeError`; all others as they are."""
    from distributed import KilledWorker
    from distributed.comm.core import CommClosedError

    try:
        yield
    except KilledWorker as error:
        raise ComputeError(
            "one piece of work has killed one Dask worker after the other; their logs say why, and mostly it is memory"
        ) from error
    except (CancelledError, CommClosedError) as error:
        raise ComputeError(_LOST.format(error)) from error
    except ImportError as error:
        raise ComputeError(
            f"a Dask worker cannot run this library ({error}); install the same version there"
        ) from error
