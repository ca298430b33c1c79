"""Pools, queues and limits on a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployments.changes import Change, compared, differing
from deployments.description import GlobalLimit, WorkPool, WorkQueue
from stage1_core.errors import Stage1Error

if TYPE_CHECKING:
    from prefect.client import schemas
    from prefect.client.orchestration import PrefectClient


async def apply_pool(server: PrefectClient, pool: WorkPool, *, write: bool) -> list[Change]:
    """One change for the pool and one for each of its queues. Raises `Stage1Error` for a pool of another type."""
    from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate

    there = {found.name: found for found in await server.read_work_pools()}.get(pool.name)
    wanted = pool.model_dump(include={"description", "concurrency_limit", "base_job_template"})
    if there is None:
        if write:
            await server.create_work_pool(WorkPoolCreate(name=pool.name, type=pool.type, **wanted))
        change = Change(kind="pool", name=pool.name, outcome="created")
    elif there.type != pool.type:
        raise Stage1Error(
            f"the server has a pool {pool.name!r} of type {there.type!r}, and a pool cannot change its type to "
            f"{pool.type!r}; delete it with `prefect work-pool delete {pool.name}` if nothing else uses it"
        )
    else:
        change = compared("pool", pool.name, differing(there.model_dump(), wanted))
        if write and change.pending:
            await server.update_work_pool(pool.name, WorkPoolUpdate(**wanted))
    return [change, *await _apply_queues(server, pool, is_new=there is None, write=write)]


async def _apply_queues(server: PrefectClient, pool: WorkPool, *, is_new: bool, write: bool) -> list[Change]:
    exists = write or not is_new
    there = {queue.name: queue for queue in await server.read_work_queues(pool.name)} if exists else {}
    changes = [await _apply_queue(server, pool, queue, there.get(queue.name), write=write) for queue in pool.queues]
    if is_new:  # the pool came with a queue of its own
        return [change.model_copy(update={"outcome": "created", "what": ()}) for change in changes]
    return changes


async def _apply_queue(
    server: PrefectClient, pool: WorkPool, queue: WorkQueue, there: schemas.objects.WorkQueue | None, *, write: bool
) -> Change:
    name = f"{pool.name}/{queue.name}"
    wanted = queue.model_dump(include={"priority", "description", "concurrency_limit"})
    if there is None:
        if write:
            await server.create_work_queue(name=queue.name, work_pool_name=pool.name, **wanted)
        return Change(kind="queue", name=name, outcome="created")
    change = compared("queue", name, differing(there.model_dump(), wanted))
    if write and change.pending:
        await server.update_work_queue(there.id, **wanted)
    return change


async def apply_limit(server: PrefectClient, limit: GlobalLimit, *, write: bool) -> Change:
    """The limit, without a look at who holds it."""
    from prefect.exceptions import ObjectNotFound

    try:
        there = await server.read_global_concurrency_limit_by_name(limit.name)
    except ObjectNotFound:
        change = Change(kind="limit", name=limit.name, outcome="created")
    else:
        change = compared("limit", limit.name, differing(there.model_dump(), {"limit": limit.limit, "active": True}))
    if write and change.pending:
        await _write_limit(server, limit, is_new=change.outcome == "created")
    return change


async def _write_limit(server: PrefectClient, limit: GlobalLimit, *, is_new: bool) -> None:
    from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, GlobalConcurrencyLimitUpdate

    if is_new:
        await server.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=limit.name, limit=limit.limit))
    else:
        await server.update_global_concurrency_limit(
            limit.name, GlobalConcurrencyLimitUpdate(limit=limit.limit, active=True)
        )
