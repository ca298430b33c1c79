"""One mover of a model's aliases at a time: MLflow has no compare-and-set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from prefect.client.orchestration import get_client
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectAlreadyExists
from prefect.settings import PREFECT_API_URL

from stage1_core.errors import Stage1Error
from tasks._file_locks import first_free
from tasks._workspace import lock_file

LEASE_SECONDS = 60.0
"""On a server a killed mover blocks the others this long and a little more; a living one renews its lease."""

SECONDS_TO_WAIT = 180.0
"""How long a mover waits for another before it gives up."""


@contextmanager
def registry_lease(model: str) -> Iterator[None]:
    """Be the only one who moves aliases of ``model``, in this workspace and among all who use the same Prefect server.

    A process without a server has one that ends with it, and would leave there a slot that nobody gives back: among
    such processes the workspace's file decides alone. Raises `Stage1Error` when another does not end in time.
    """
    with ExitStack() as held:
        try:
            held.enter_context(first_free([lock_file(lease_name(model))], seconds=SECONDS_TO_WAIT))
        except TimeoutError:
            raise Stage1Error(_busy(model)) from None
        if PREFECT_API_URL.value():
            held.enter_context(_lease_of_server(model))
        yield


@contextmanager
def _lease_of_server(model: str) -> Iterator[None]:
    """A mover whose lease cannot be renewed is stopped where it stands.

    That is a crash like any other: its intent is repaired by whoever comes next.
    """
    limit = lease_name(model)
    with get_client(sync_client=True) as client, suppress(ObjectAlreadyExists):  # two may make it at once
        client.upsert_global_concurrency_limit_by_name(limit, 1)
    with ExitStack() as held:
        lease = concurrency(limit, strict=True, timeout_seconds=SECONDS_TO_WAIT, lease_duration=LEASE_SECONDS)
        try:
            held.enter_context(lease)
        except TimeoutError:
            raise Stage1Error(
                f"{_busy(model)}. If nobody does, run `prefect gcl update {limit} --active-slots 0`"
            ) from None
        yield


def lease_name(model: str) -> str:
    """Name of the concurrency limit that stands for the aliases of ``model``."""
    return f"stage1-promotion-{model}"


def _busy(model: str) -> str:
    return f"somebody else has been moving aliases of {model} for {SECONDS_TO_WAIT:.0f} s; try again later"
