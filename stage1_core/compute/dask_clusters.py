"""Worker processes that Dask keeps, on this machine or on others. Dask is loaded when there is something to compute."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import Field

from stage1_core.compute.fan_out import fan_out
from stage1_core.config import FrozenModel
from stage1_core.errors import ComputeError

if TYPE_CHECKING:
    from distributed import Client

Item = TypeVar("Item")
Result = TypeVar("Result")

SECONDS_TO_CONNECT = 30


class DaskLocalCompute(FrozenModel):
    """Processes of one thread each on this machine, which live as long as the call and heed nobody else."""

    kind: Literal["dask-local"] = "dask-local"
    workers: Annotated[int, Field(ge=1, le=1024)]
    """Number of processes."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result]:
        """``function`` of each item, results in the order of the items; see `fan_out` for its errors.

        The processes end with the generator, be it exhausted, closed or left by an error.
        """
        with self._client() as client:
            yield from fan_out(client, function, items)

    @contextmanager
    def _client(self) -> Iterator[Client]:
        require_distributed()
        from distributed import Client, LocalCluster

        # Any free port for the page, for clusters live side by side; no limit of memory, near which Dask would pause;
        # keys for this cluster alone, since whoever else on this machine reached its port could run code as us.
        with (
            LocalCluster(
                n_workers=self.workers,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                memory_limit=0,
                dashboard_address="127.0.0.1:0",
                security=True,
                silence_logs=logging.CRITICAL,  # what goes wrong is raised here
            ) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            yield client


class DaskCompute(FrozenModel):
    """The workers of a running Dask scheduler. Whoever reaches its port can run code there: keep the network closed."""

    kind: Literal["dask"] = "dask"
    address: Annotated[str, Field(pattern=r"^[\w.\-]+:\d+$|^\[[0-9a-fA-F:]+\]:\d+$")]
    """host:port of the scheduler."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result]:
        """``function`` of each item, results in the order of the items; see `fan_out` for its errors.

        Closing the generator withdraws what has not begun; what runs is finished by its worker and forgotten. Raises
        `ComputeError` where no scheduler or no worker answers.
        """
        with self._client() as client:
            yield from fan_out(client, function, items)

    @contextmanager
    def _client(self) -> Iterator[Client]:
        require_distributed()
        from distributed import Client

        try:
            client = Client(f"tcp://{self.address}", set_as_default=False, timeout=SECONDS_TO_CONNECT)
        except OSError as error:  # TimeoutError is one
            raise ComputeError(
                f"no Dask scheduler answers at {self.address} ({error}); start one there, or set "
                "STAGE1_COMPUTE to local"
            ) from error
        with client:
            try:
                client.wait_for_workers(1, timeout=SECONDS_TO_CONNECT)
            except TimeoutError as error:
                raise ComputeError(
                    f"the Dask scheduler at {self.address} has no workers; run on each machine: "
                    f"dask worker tcp://{self.address} --nthreads 1 --nworkers N"
                ) from error
            yield client


def require_distributed() -> None:
    """Raise `ComputeError` where Dask is not installed."""
    try:
        import distributed  # noqa: F401  # looked for, not used
    except ImportError as error:
        raise ComputeError(
            "computing on Dask needs the package distributed; run: pip install 'stage1-pro[dask]', or set "
            "STAGE1_COMPUTE to local"
        ) from error
