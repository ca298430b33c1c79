"""Which released bundle is the champion: promotion, rollback, and the repair of either."""

from __future__ import annotations

from typing import Any

from flows._flow import flow
from stage1_core.promotion.config import PromotionRequest, RepairRequest, RollbackRequest
from stage1_core.promotion.evidence import Approval, PromotionEvidence
from stage1_core.promotion.intent import Intent
from tasks.approval import settle_approval
from tasks.events import EventName, emit, model_resource
from tasks.evidence import (
    compare_with_champion,
    fetch_released,
    find_contest,
    find_ledger,
    gather_evidence,
    require_evidence,
    show_evidence,
)
from tasks.promotion import end_interrupted, end_pending, find_previous, promote, roll_back
from tasks.registry_aliases import Ended


@flow("assessment")
def assessment(request: PromotionRequest) -> PromotionEvidence:
    """Hold a candidate against the champion and show what was found; no alias moves.

    Args:
        request: Which version would replace which, and what it must show. Nobody is asked for approval.
    """
    return _evidence(request)


@flow("promotion")
def promotion(request: PromotionRequest, approval: Approval | None = None) -> Intent:
    """Make a candidate the champion if it is not worse, and if whoever has to approve does.

    Waiting for a person suspends the run. It then begins anew, and what was approved is what is found again.

    Args:
        request: Which version shall replace which, what it must show, and who is asked.
        approval: An answer to evidence that was seen before, in an assessment; then nobody is asked.
    """
    evidence = _evidence(request)
    require_evidence(evidence)
    return promote(evidence, settle_approval(request.config.approval, evidence, approval))


@flow("rollback")
def rollback(request: RollbackRequest) -> Intent:
    """Put the previous champion back, after its bundle was verified.

    Args:
        request: Which model, and why.
    """
    end_interrupted(request.model)
    target = find_previous(request)
    fetch_released(request.model, target)
    return roll_back(request, target)


@flow("repair")
def repair(request: RepairRequest) -> Ended:
    """Finish, or take back, a promotion or rollback that was interrupted. Ends as NothingToDo where none was.

    Args:
        request: Which model.
    """
    return end_pending(request)


def _announce_refusal(flow: Any, flow_run: Any, state: Any) -> None:
    """Send the event of a promotion or rollback that was refused, whichever step refused it."""
    if state.name == "Refused":
        model = flow_run.parameters["request"]["model"]
        emit(EventName.PROMOTION_REFUSED, model_resource(model), action=flow.name, why=state.message)


promotion.on_failure(_announce_refusal)
rollback.on_failure(_announce_refusal)


def _evidence(request: PromotionRequest) -> PromotionEvidence:
    end_interrupted(request.model)
    contest = find_contest(request)
    candidate = fetch_released(contest.model, contest.candidate)
    ledger = find_ledger(contest, candidate)
    comparison = compare_with_champion(request.config.not_worse, contest, candidate, ledger)
    evidence = gather_evidence(request.config.not_worse, contest, candidate, ledger, comparison)
    show_evidence(evidence)
    return evidence
