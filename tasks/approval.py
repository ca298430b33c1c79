"""Who says yes to a promotion: nobody, a person before the run, or a person in the page while the run is suspended."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from pydantic import Field, ValidationError

from stage1_core.errors import PromotionRefused
from stage1_core.promotion.config import ApprovalConfig, AutomaticApproval
from stage1_core.promotion.evidence import Approval, PromotionEvidence

APPROVAL_KEY = "approval"
SECONDS_PER_HOUR = 3600


class PromotionApproval(RunInput):
    """The form in the page. Its fields have no initial values: Prefect would drop their constraints."""

    decision: Annotated[Literal["approve", "refuse"], Field(description="Shall it become the champion?")]
    approver: Annotated[str, Field(min_length=2, description="Your name, so that others can ask you.")]
    reason: Annotated[str, Field(min_length=10, description="Why; kept with the version.")]
    code: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$", description="The code of the evidence, 12 characters.")]


def settle_approval(config: ApprovalConfig, evidence: PromotionEvidence, given: Approval | None) -> Approval:
    """The answer that was given with the request, or the one that ``config`` asks for.

    To ask a person, the run is suspended; its process ends, and the flow begins anew when the answer is there. Must be
    called in a flow, not in a task. Raises `PromotionRefused` where a person must be asked and cannot be.
    """
    if given is not None:
        return given
    if isinstance(config, AutomaticApproval):
        return Approval.automatic(evidence)
    return _ask(evidence, seconds=math.ceil(config.timeout_hours * SECONDS_PER_HOUR))


def _ask(evidence: PromotionEvidence, *, seconds: int) -> Approval:
    form = PromotionApproval.with_initial_data(description=evidence.markdown())
    try:
        answer = suspend_flow_run(wait_for_input=form, key=APPROVAL_KEY, timeout=seconds)
    except RuntimeError as error:
        raise PromotionRefused(
            f"{evidence.model}: a person must approve, and this run cannot wait for one ({error}); run the deployment "
            "promotion/promotion, or `stage1 promote` in a terminal",
            evidence.model_dump(mode="json"),
        ) from error
    except ValidationError as error:
        raise PromotionRefused(
            f"{evidence.model}: this run was continued without an answer; start a new promotion and answer there",
            evidence.model_dump(mode="json"),
        ) from error
    return Approval.model_validate(answer.model_dump())
