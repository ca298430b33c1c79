"""One mover of a model's aliases at a time, kept by the Prefect server: MLflow has no compare-and-set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from prefect.client.orchestration import get_client
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectAlreadyExists

from stage1_core.errors import Stage1Error

LEASE_SECONDS = 60.0
"""A killed mover blocks the others this long and a little more; a living one renews its lease."""

SECONDS_TO_WAIT = 180.0
"""How long a mover waits for another before it gives up."""


@contextmanager
def registry_lease(model: str) -> Iterator[None]:
    """Be the only one who moves aliases of ``model``. Raises `Stage1Error` when another does not end in time.

    A mover whose lease cannot be renewed is stopped where it stands. That is a crash like any other: its intent is
    repaired by whoever comes next.
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
                f"somebody else has been moving aliases of {model} for {SECONDS_TO_WAIT:.0f} s; try again later. If "
                f"nobody does, run `prefect gcl update {limit} --active-slots 0`"
            ) from None
        yield


def lease_name(model: str) -> str:
    """Name of the concurrency limit that stands for the aliases of ``model``."""
    return f"stage1-promotion-{model}"
