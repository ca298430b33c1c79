"""What the server does by itself: report, notice silence, resume, retrain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from deployments.config import DeployConfig
from deployments.description import (
    OWNED,
    Automation,
    CallWebhook,
    Deployment,
    EventSeen,
    MarkCrashed,
    RunFellSilent,
    StartDeployment,
    Webhook,
)
from tasks.events import EventName

RESUMABLE = "stage1-resumable"
"""Tag of deployments whose crashed runs go on where they stopped."""

HEARTBEATS_MISSED = 3

ANY_RUN = "prefect.flow-run.*"

RUN_MESSAGE = """\
{"text": {{ ("stage1: run " ~ flow_run.name ~ " of " ~ flow.name ~ " is " ~ flow_run.state.name ~ ". "
             ~ (flow_run.state.message or "")) | tojson }},
 "event": {{ event.event | tojson }}, "flow_run": {{ (flow_run.id ~ "") | tojson }}}"""

EVENT_MESSAGE = """\
{"text": {{ ("stage1: " ~ event.event ~ " about " ~ event.resource.id) | tojson }},
 "event": {{ event.event | tojson }}, "payload": {{ event.payload | tojson }}}"""


def automations(
    config: DeployConfig, deployments: Iterable[Deployment], webhook: Webhook | None
) -> tuple[Automation, ...]:
    """Every rule; those that notify only where there is a ``webhook``."""
    deployed = {deployment.flow: deployment.full_name for deployment in deployments}
    rules = [silent_run(config), resume(deployed["resume_crashed"]), drift(deployed["retrain"])]
    return (*rules, *(notifications(webhook) if webhook else ()))


def silent_run(config: DeployConfig) -> Automation:
    """A process that was killed with all it had cannot say so; the server would believe for ever that it runs."""
    seconds = HEARTBEATS_MISSED * config.heartbeat_seconds
    return Automation(
        name="stage1: a silent run has crashed",
        description=f"No event of any kind for {seconds} s after a heartbeat.",
        # Every event counts, not a list of final states: phases end in states with names of their own, and a run that
        # waits for an approval is suspended and silent by right.
        trigger=RunFellSilent(seconds=seconds, run_tag=OWNED),
        action=MarkCrashed(message=f"silent for {seconds} s: its process, machine or network is gone"),
    )


def resume(deployment: str) -> Automation:
    """Steps that are done are not done again, so going on is starting again."""
    return Automation(
        name="stage1: resume a crashed run",
        description="The resuming flow decides whether the run is worth it, and counts how often it was tried.",
        trigger=EventSeen(events=("prefect.flow-run.Crashed",), subject=ANY_RUN, run_tag=RESUMABLE),
        action=StartDeployment(deployment=deployment, parameters={"flow_run_id": "{{ flow_run.id }}"}),
    )


def drift(deployment: str) -> Automation:
    """Retraining with the configuration of the weekly one. Its deployment refuses a second run at once."""
    return Automation(
        name="stage1: retrain on drift",
        description="Starts the retraining that the schedule would start.",
        trigger=EventSeen(events=(EventName.DRIFT_DETECTED.value,), subject="*"),
        action=StartDeployment(deployment=deployment),
    )


def notifications(webhook: Webhook) -> Iterator[Automation]:
    """What somebody should hear of."""
    yield Automation(
        name="stage1: tell of failed runs",
        description="Failed, crashed or timed out.",
        trigger=EventSeen(
            events=tuple(f"prefect.flow-run.{state}" for state in ("Failed", "Crashed", "TimedOut")),
            subject=ANY_RUN,
            run_tag=OWNED,
        ),
        action=CallWebhook(webhook=webhook.name, payload=RUN_MESSAGE),
    )
    yield Automation(
        name="stage1: tell of late runs",
        description="No worker took the run in time: none is alive, or all are busy.",
        trigger=EventSeen(events=("prefect.flow-run.Late",), subject=ANY_RUN, run_tag=OWNED),
        action=CallWebhook(webhook=webhook.name, payload=RUN_MESSAGE),
    )
    told = (
        EventName.PHASE_REJECTED,
        EventName.PROMOTION_REFUSED,
        EventName.CHAMPION_IN_DOUBT,
        EventName.RUN_ABANDONED,
    )
    yield Automation(
        name="stage1: tell of verdicts",
        description="A phase was rejected, a promotion refused, the champion is damaged, a run was given up.",
        trigger=EventSeen(events=tuple(name.value for name in told), subject="*"),
        action=CallWebhook(webhook=webhook.name, payload=EVENT_MESSAGE),
    )
