"""The project's `flow`: a Prefect flow whose refusals and other answers are named states."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import prefect
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.states import Completed, Failed

from stage1_core.errors import NotAdopted, NothingToDo, PhaseRejected, PromotionRefused
from tasks._workspace import require_lasting_places
from tasks.open_runs import open_runs_closed
from tasks.phase import ReleasedPhase

P = ParamSpec("P")
R = TypeVar("R")


def flow(name: str) -> Callable[[Callable[P, R]], prefect.Flow[P, R]]:
    """Turn a straight line of tasks into a flow whose outcome the page can tell from an error.

    A gate raises `PhaseRejected`, or `PromotionRefused`. The run then ends as Failed, named Rejected,
    InsufficientEvidence or Refused, and the exception in the state carries the whole evidence. A parent that calls the
    flow gets the exception, so nothing behind it runs.

    A gate may also raise `NotAdopted`, or `NothingToDo`: the run then ends as Completed, under that name, and its
    result is what goes on standing. A parent gets that and goes on with it.

    A run of a deployment fails with `Stage1Error` before it does anything where all that it keeps would be deleted.
    """

    def decorate(body: Callable[P, R]) -> prefect.Flow[P, R]:
        @functools.wraps(body)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            if _is_of_a_deployment():
                require_lasting_places()
            try:
                with open_runs_closed():
                    return body(*args, **kwargs)
            except (PhaseRejected, PromotionRefused, NotAdopted, NothingToDo) as answer:
                return cast(R, _state(answer))  # Prefect takes a returned state for the outcome of the run

        # The page's form is made from the body's parameters, whose types must be looked up where the body stands.
        run.__signature__ = inspect.signature(body, eval_str=True)  # type: ignore[attr-defined]
        run.__annotations__ = inspect.get_annotations(body, eval_str=True)
        return prefect.flow(name=name, log_prints=False)(run)

    return decorate


def _is_of_a_deployment() -> bool:
    context = FlowRunContext.get()
    return bool(context and context.flow_run and context.flow_run.deployment_id)


def _state(answer: PhaseRejected | PromotionRefused | NotAdopted | NothingToDo) -> State[object]:
    match answer:
        case PhaseRejected():
            return Failed(name=answer.state_name, message=str(answer), data=answer)
        case PromotionRefused():
            return Failed(name="Refused", message=str(answer), data=answer)
        case NotAdopted():
            standing = ReleasedPhase.model_validate(answer.standing)
            return Completed(name="NotAdopted", message=str(answer), data=standing)
        case NothingToDo():
            return Completed(name="NothingToDo", message=str(answer), data=answer.standing)
