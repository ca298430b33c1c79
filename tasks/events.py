"""What the world may react to: custom events, sent to the Prefect server that the run reports to.

Automations listen to these names. A resource names what the event is about, so that an automation may be narrowed to
one model or one phase.
"""

from __future__ import annotations

from enum import StrEnum

from prefect.events import emit_event


class EventName(StrEnum):
    """Every event of this project."""

    PHASE_ACCEPTED = "stage1.phase.accepted"
    PHASE_REJECTED = "stage1.phase.rejected"
    BUNDLE_RELEASED = "stage1.bundle.released"
    PROMOTION_REFUSED = "stage1.promotion.refused"
    PROMOTION_REPAIRED = "stage1.promotion.repaired"
    BUNDLE_PROMOTED = "stage1.bundle.promoted"
    BUNDLE_ROLLED_BACK = "stage1.bundle.rolled-back"
    CHAMPION_IN_DOUBT = "stage1.champion.in-doubt"
    DRIFT_DETECTED = "stage1.drift.detected"
    RUN_ABANDONED = "stage1.run.abandoned"


def phase_resource(phase: str) -> str:
    """Id of a phase as the subject of an event."""
    return f"stage1.phase.{phase}"


def model_resource(model: str) -> str:
    """Id of a registered model as the subject of an event."""
    return f"stage1.model.{model}"


def emit(name: EventName, resource: str, **payload: str | int | float | bool | None) -> None:
    """Send one event. Without a server it is dropped: an event is news, never the record."""
    emit_event(name.value, resource={"prefect.resource.id": resource}, payload=payload)
