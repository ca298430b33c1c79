"""Tasks that make a candidate the champion, take that back, and repair what was interrupted."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from stage1_core.errors import NothingToDo, PromotionConflict, PromotionRefused
from stage1_core.promotion.config import RepairRequest, RollbackRequest
from stage1_core.promotion.evidence import Approval, PromotionEvidence, RegisteredBundle, require_approved
from stage1_core.promotion.intent import Aliases, Intent
from tasks._task import effect, gate
from tasks.contest import previous_of, replaced_by
from tasks.events import EventName, emit, model_resource
from tasks.registry_aliases import Ended, Move, abandon_pending, aliases_of, carry_out, last_move, settle_pending
from tasks.registry_lease import registry_lease
from tasks.registry_versions import (
    APPROVER,
    PROMOTED_AT,
    PROMOTED_ON,
    REASON,
    REPLACED,
    ROLLED_BACK_AT,
    ROLLED_BACK_BECAUSE,
    versions_of,
)


@effect
def end_interrupted(model: str) -> Ended | None:
    """Finish or take back what a killed run left behind, before anything else is decided."""
    with registry_lease(model):
        ended = settle_pending(model)
    if ended is not None:
        announce_end(ended)
    return ended


@effect
def promote(evidence: PromotionEvidence, approval: Approval) -> Intent:
    """Make the candidate the champion, if that was approved and the champion is still the one it was compared with.

    Tried again after it did so, it finds its own move and does nothing more.
    """
    require_approved(evidence, approval)
    with registry_lease(evidence.model):
        settle_pending(evidence.model)
        intent = own_promotion(evidence)
        if intent is None:
            intent = moved(promotion_move(evidence, approval, aliases_of(evidence.model)))
    announce_move(EventName.BUNDLE_PROMOTED, intent, approval.reason)
    return intent


@gate
def find_previous(request: RollbackRequest) -> RegisteredBundle:
    """The version that a rollback puts back, as the registry says now; the one that this run has put back already."""
    versions, done = versions_of(request.model), own_move(request.model)
    if done is not None and done.after.champion is not None:
        return versions[done.after.champion].bundle()
    return previous_of(request, aliases_of(request.model), versions)


@effect
def roll_back(request: RollbackRequest, target: RegisteredBundle) -> Intent:
    """Put ``target``, whose bundle was verified, back in the champion's place.

    Tried again after it did so, it finds its own move: a run that is resumed must not go back by two champions.
    """
    with registry_lease(request.model):
        settle_pending(request.model)
        intent = own_move(request.model)
        if intent is None:
            intent = moved(rollback_move(request, target, aliases_of(request.model)))
    announce_move(EventName.BUNDLE_ROLLED_BACK, intent, request.reason)
    return intent


def end_pending(request: RepairRequest) -> Ended:
    """Finish, take back or forget what is pending. Raises `NothingToDo` where nothing is.

    No task of its own: the page would show "nothing to do" as a failed one.
    """
    with registry_lease(request.model):
        ended = abandon_pending(request.model) if request.abandon else settle_pending(request.model)
        standing = aliases_of(request.model)
    if ended is None:
        raise NothingToDo(
            f"{request.model}: nothing was interrupted; {standing.in_words()}", standing.model_dump(mode="json")
        )
    announce_end(ended)
    return ended


def own_move(model: str) -> Intent | None:
    """What this flow run has done to the aliases of ``model`` before it was tried again, or began anew; None where
    that is nothing, or where others have moved them since."""
    last = last_move(model)
    return last if last is not None and last.nonce == flow_run.id else None


def own_promotion(evidence: PromotionEvidence) -> Intent | None:
    """What this flow run has done because of ``evidence``."""
    done = own_move(evidence.model)
    return done if done is not None and done.evidence_digest == evidence.digest() else None


def moved(move: Move) -> Intent:
    """Carry ``move`` out."""
    carry_out(move)
    return move.intent


def promotion_move(evidence: PromotionEvidence, approval: Approval, standing: Aliases) -> Move:
    """What has to be done, and noted. Raises `PromotionRefused` where another champion stands by now."""
    at = _now()
    try:
        intent = Intent.to_promote(evidence, approval, standing, nonce=_nonce(), at=at)
    except PromotionConflict as overtaken:
        raise PromotionRefused(str(overtaken), evidence.model_dump(mode="json")) from overtaken
    notes = {PROMOTED_AT: at, PROMOTED_ON: evidence.digest(), APPROVER: approval.approver, REASON: approval.reason}
    return Move(intent=intent, notes={evidence.candidate.version: notes | {REPLACED: standing.champion or ""}})


def rollback_move(request: RollbackRequest, target: RegisteredBundle, standing: Aliases) -> Move:
    """What has to be done, and noted. Raises `PromotionRefused` where the aliases have moved since ``target`` was
    verified."""
    at, versions = _now(), versions_of(request.model)
    if previous_of(request, standing, versions) != target or standing.champion is None:
        raise PromotionRefused(
            f"{request.model}: the aliases have moved meanwhile ({standing.in_words()}); look, and roll back again",
            standing.model_dump(mode="json"),
        )
    replaced = replaced_by(target.version, standing.champion, versions)
    intent = Intent.to_roll_back(request.model, standing, replaced=replaced, nonce=_nonce(), at=at)
    return Move(intent=intent, notes={standing.champion: {ROLLED_BACK_AT: at, ROLLED_BACK_BECAUSE: request.reason}})


def announce_move(name: EventName, intent: Intent, reason: str) -> None:
    """Send the event of a promotion or a rollback."""
    before, after = intent.before.champion, intent.after.champion
    emit(name, model_resource(intent.model), version=after, replaced=before, reason=reason)


def announce_end(ended: Ended) -> None:
    """Log, and send the event of, a repair."""
    get_run_logger().warning(ended.in_words())
    emit(
        EventName.PROMOTION_REPAIRED,
        model_resource(ended.model),
        action=ended.action,
        outcome=ended.outcome,
        champion=ended.aliases.champion,
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _nonce() -> str:
    """The flow run's id, which stays when a step is tried again and when the run begins anew."""
    return flow_run.id or uuid4().hex
