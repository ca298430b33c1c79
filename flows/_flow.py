"""The project's `phase`: a Prefect flow whose rejection, or whose decision to adopt nothing, is a named state."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import prefect
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from stage1_core.errors import NotAdopted, PhaseRejected
from tasks.phase import ReleasedPhase

P = ParamSpec("P")
R = TypeVar("R")


def phase(name: str) -> Callable[[Callable[P, R]], prefect.Flow[P, R]]:
    """Turn a straight line of tasks into the flow of one phase.

    A gate raises `PhaseRejected`. The run then ends as Failed, named after the verdict, and the exception in the state
    carries the whole acceptance report. A parent that calls the flow gets the exception, so nothing behind it runs.

    A gate may also raise `NotAdopted`: the run then ends as Completed, named NotAdopted, and its result is the release
    that goes on standing. A parent gets that release and goes on with it.
    """

    def decorate(body: Callable[P, R]) -> prefect.Flow[P, R]:
        @functools.wraps(body)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return body(*args, **kwargs)
            except PhaseRejected as rejected:
                state: State[R] = Failed(name=rejected.state_name, message=str(rejected), data=rejected)
                return cast(R, state)  # Prefect takes a returned state for the outcome of the run
            except NotAdopted as outcome:
                standing = ReleasedPhase.model_validate(outcome.standing)
                return cast(R, Completed(name="NotAdopted", message=str(outcome), data=standing))

        # The page's form is made from the body's parameters, whose types must be looked up where the body stands.
        run.__signature__ = inspect.signature(body, eval_str=True)  # type: ignore[attr-defined]
        run.__annotations__ = inspect.get_annotations(body, eval_str=True)
        return prefect.flow(name=name, log_prints=False)(run)

    return decorate
