"""Bring a server to what a plan says, and say of each object what was done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from deployments._automations_on_server import apply_automation, apply_webhook, our_automations, stale_automations
from deployments._deployments_on_server import apply_deployment, stale_deployments
from deployments._pools_on_server import apply_limit, apply_pool
from deployments.changes import Change, Stale
from deployments.description import Plan
from stage1_core.errors import Stage1Error

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient


def apply(plan: Plan, *, dry_run: bool = False, prune: bool = False) -> list[Change]:
    """Create and update what ``plan`` describes on the server that PREFECT_API_URL names; in the plan's order.

    What is there as described is left alone, so a second call changes nothing. With ``dry_run`` nothing is written at
    all. Deployments and automations of this project that the plan no longer has are named last, as stale, and removed
    only with ``prune``. Raises `Stage1Error` when no server is named, none answers, or it refuses something.
    """
    return asyncio.run(_apply(plan, write=not dry_run, prune=prune and not dry_run))


def require_server() -> None:
    """Raise `Stage1Error` unless a Prefect server is named and answers."""
    asyncio.run(_look())


async def _look() -> None:
    async with _server():
        pass


async def _apply(plan: Plan, *, write: bool, prune: bool) -> list[Change]:
    async with _server() as server:
        changes: list[Change] = []
        for pool in plan.pools:
            changes += await apply_pool(server, pool, write=write)
        for limit in plan.limits:
            changes.append(await apply_limit(server, limit, write=write))
        blocks, deployed = {}, {}
        if plan.webhook:
            change, blocks[plan.webhook.name] = await apply_webhook(server, plan.webhook, write=write)
            changes.append(change)
        for deployment in plan.deployments:
            change, deployed[deployment.full_name] = await apply_deployment(server, deployment, write=write)
            changes.append(change)
        rules = await our_automations(server)
        for automation in plan.automations:
            changes.append(await apply_automation(server, automation, rules, deployed, blocks, write=write))
        stale = [*await stale_deployments(server, plan), *stale_automations(server, plan, rules)]
        return changes + [await _settle(leftover, prune=prune) for leftover in stale]


async def _settle(leftover: Stale, *, prune: bool) -> Change:
    if prune:
        await leftover.remove()
    return Change(kind=leftover.kind, name=leftover.name, outcome="removed" if prune else "stale")


@asynccontextmanager
async def _server() -> AsyncIterator[PrefectClient]:
    """A client of the named server, never of one that Prefect would start by itself."""
    from prefect.client.orchestration import get_client
    from prefect.settings import get_current_settings

    address = get_current_settings().api.url
    if not address:
        raise Stage1Error("no Prefect server is named; set PREFECT_API_URL, like http://127.0.0.1:4200/api")
    with _refusals_explained(address):
        async with get_client() as server:
            if trouble := await server.api_healthcheck():
                raise Stage1Error(
                    f"no Prefect server answers at {address}: {trouble}; start it or correct PREFECT_API_URL"
                )
            yield server


@contextmanager
def _refusals_explained(address: str) -> Iterator[None]:
    import httpx

    try:
        yield
    except httpx.HTTPStatusError as error:
        asked = f"{error.request.method} {error.request.url.path}"
        advice = "; set PREFECT_API_AUTH_STRING" if error.response.status_code == 401 else ""
        # Refusals repeat what was sent, and the block of the webhook is sent with its secret.
        secret = "/block_documents" in asked
        said = "" if secret else f": {error.response.text[:500]}"
        raise Stage1Error(f"{address} refused {asked} with {error.response.status_code}{said}{advice}") from (
            None if secret else error
        )
    except httpx.HTTPError as error:
        raise Stage1Error(f"{address} stopped answering: {error!r}; apply again, nothing is done twice") from error
