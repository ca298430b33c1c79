"""Descriptions as the objects of Prefect's client."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, assert_never
from uuid import UUID

from deployments.description import (
    OWNED,
    Action,
    Automation,
    CallWebhook,
    EventSeen,
    MarkCrashed,
    RunFellSilent,
    StartDeployment,
    Trigger,
)

if TYPE_CHECKING:
    from prefect.events.schemas.automations import AutomationCore

NOT_THERE_YET = UUID(int=0)
"""Stands for an object that this plan will make: a rule that names it differs from any that is there."""


def automation_core(
    automation: Automation, deployments: Mapping[str, UUID], webhooks: Mapping[str, UUID]
) -> AutomationCore:
    """``automation`` with the ids that the names of deployments and webhooks have on this server."""
    from prefect.events.schemas.automations import AutomationCore

    return AutomationCore.model_validate(
        {
            "name": automation.name,
            "description": automation.description,
            "tags": [OWNED],
            "enabled": True,
            "trigger": _trigger(automation.trigger),
            "actions": [_action(automation.action, deployments, webhooks)],
        }
    )


def _trigger(trigger: Trigger) -> dict[str, Any]:
    match trigger:
        case EventSeen():
            return {
                "type": "event",
                "posture": "Reactive",
                "expect": sorted(trigger.events),
                "match": {"prefect.resource.id": trigger.subject},
                "match_related": _tagged(trigger.run_tag) if trigger.run_tag else {},
            }
        case RunFellSilent():
            return {
                "type": "event",
                "posture": "Proactive",
                "after": ["prefect.flow-run.heartbeat"],
                "expect": ["prefect.flow-run.*"],
                "match": {"prefect.resource.id": "prefect.flow-run.*"},
                "match_related": _tagged(trigger.run_tag),
                "for_each": ["prefect.resource.id"],
                "within": timedelta(seconds=trigger.seconds),
            }
    assert_never(trigger)


def _tagged(tag: str) -> dict[str, str]:
    return {"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{tag}"}


def _action(action: Action, deployments: Mapping[str, UUID], webhooks: Mapping[str, UUID]) -> dict[str, Any]:
    match action:
        case CallWebhook():
            block = webhooks[action.webhook]
            return {"type": "call-webhook", "block_document_id": block, "payload": action.payload}
        case StartDeployment():
            return {
                "type": "run-deployment",
                "source": "selected",
                "deployment_id": deployments[action.deployment],
                "parameters": {name: _template(text) for name, text in action.parameters.items()},
            }
        case MarkCrashed():
            return {"type": "change-flow-run-state", "state": "CRASHED", "message": action.message}
    assert_never(action)


def _template(text: str) -> dict[str, str]:
    """A parameter that the server renders from the event."""
    return {"__prefect_kind": "jinja", "template": text}
