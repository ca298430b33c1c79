"""Automations, and the webhook they call, on a server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from deployments._prefect_objects import NOT_THERE_YET, automation_core
from deployments.changes import Change, Stale, compared, differing
from deployments.description import OWNED, Automation, Plan, Webhook

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.events.schemas.automations import Automation as AutomationThere
    from prefect.events.schemas.automations import AutomationCore

PAGE = 200


async def apply_webhook(server: PrefectClient, webhook: Webhook, *, write: bool) -> tuple[Change, UUID]:
    """The block that holds the address as a secret, and its id. Says that the address changed, never to what."""
    from prefect.blocks.webhook import Webhook as WebhookBlock
    from prefect.exceptions import ObjectNotFound

    id_ = NOT_THERE_YET
    try:
        there = await server.read_block_document_by_name(webhook.name, "webhook", include_secrets=True)
    except ObjectNotFound:
        change = Change(kind="webhook", name=webhook.name, outcome="created")
    else:
        id_ = there.id
        change = compared("webhook", webhook.name, differing(there.data, {"url": webhook.url.get_secret_value()}))
    if write and change.pending:
        block = WebhookBlock(method="POST", url=webhook.url)
        id_ = await block.asave(webhook.name, overwrite=True, client=server)
    return change, id_


async def our_automations(server: PrefectClient) -> list[AutomationThere]:
    """Automations with this project's tag, in an order that stays."""
    found: list[AutomationThere] = []
    while page := await server.read_automations(limit=PAGE, offset=len(found)):
        found += page
    return sorted((there for there in found if OWNED in there.tags), key=lambda there: (there.name, str(there.id)))


async def apply_automation(
    server: PrefectClient,
    automation: Automation,
    all_there: Iterable[AutomationThere],
    deployments: Mapping[str, UUID],
    webhooks: Mapping[str, UUID],
    *,
    write: bool,
) -> Change:
    """The rule, found by its name: the server would keep two of one name."""
    wanted = automation_core(automation, deployments, webhooks)
    there = next((found for found in all_there if found.name == automation.name), None)
    if there is None:
        if write:
            await server.create_automation(wanted)
        return Change(kind="automation", name=automation.name, outcome="created")
    change = compared("automation", automation.name, differing(_content(there), _content(wanted)))
    if write and change.pending:
        await server.update_automation(there.id, wanted)
    return change


def stale_automations(server: PrefectClient, plan: Plan, all_there: Iterable[AutomationThere]) -> list[Stale]:
    """Automations with this project's tag that ``plan`` does not describe, and second ones of a described name."""
    left = {automation.name for automation in plan.automations}
    stale = []
    for there in all_there:
        if there.name in left:
            left.remove(there.name)
        else:
            stale.append(Stale("automation", there.name, partial(server.delete_automation, there.id)))
    return stale


def _content(automation: AutomationCore) -> dict[str, Any]:
    """What is compared, as JSON in one form: some fields are sets, and the server adds ids to triggers."""
    fields = {"description", "tags", "enabled", "trigger", "actions"}
    content = automation.model_dump(mode="json", include=fields)
    trigger = {name: value for name, value in content["trigger"].items() if name != "id"}
    for name in ("after", "expect", "for_each"):
        trigger[name] = sorted(trigger[name])
    return content | {"trigger": trigger}
