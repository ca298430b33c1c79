"""Options of `stage1 fit-policy`, and the promise and the way to fit that they name."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from stage1_core.policy import AnyPolicyConfig
    from stage1_core.policy.constraint import RiskConstraint


class Kind(StrEnum):
    """What decides whether a row exits."""

    SOFTMAX = "softmax"
    GATE = "gate"
    SCRC = "scrc"


class Signal(StrEnum):
    """What selects beside the confidence."""

    AUTO = "auto"
    GATE = "gate"
    ENERGY = "energy"


class Positives(StrEnum):
    """Whether rows that are called 1 may exit at laxer thresholds."""

    ALIKE = "alike"
    SOONER = "sooner"


class Risk(StrEnum):
    """The risk that is certified."""

    FNR_ON_EXITED = "fnr_on_exited"
    EXIT_ERROR = "exit_error"


class Counting(StrEnum):
    """The rows that are counted."""

    ONE_PER_GROUP = "one_per_group"
    EVERY_ROW = "every_row"


MaxFnr = Annotated[
    float | None,
    typer.Option(min=1e-6, max=0.1, help="Ceiling of the FNR on exited, a fraction; 0.02 if absent."),
]
MaxExitError = Annotated[
    float | None,
    typer.Option(
        min=1e-6,
        max=0.999,
        help="Ceiling of the exit error, certified together with the FNR; with --risk exit_error alone, at most 0.1.",
    ),
]
MaxFpr = Annotated[
    float | None,
    typer.Option(min=1e-6, max=0.999, help="Ceiling of the FPR on exited, certified together with the risk."),
]
OrderFile = Annotated[
    Path | None, typer.Option(help="Rows that order the candidates; if absent, a share of the predictions.")
]
CalibrateFile = Annotated[
    Path | None, typer.Option(help="gate alone: rows that calibrate it; if absent, a share of the predictions.")
]

_OPTIONS = {
    "max_risk": "--max-fnr",
    "max_exit_error": "--max-exit-error",
    "max_fpr_on_exited": "--max-fpr",
    "confidence": "--confidence",
}
"""The option behind a field of the promise."""


def promise_of(
    risk: Risk,
    max_fnr: float | None,
    max_exit_error: float | None,
    max_fpr: float | None,
    confidence: float,
    counting: Counting,
) -> RiskConstraint:
    """The promise. Raises `Stage1Error` where the ceiling of the risk is absent, or one that means nothing is there."""
    from pydantic import ValidationError

    from stage1_core.errors import Stage1Error
    from stage1_core.policy.constraint import RiskConstraint

    promise: dict[str, Any] = {"max_exit_error": max_exit_error}
    if max_fnr is not None:
        promise["max_risk"] = max_fnr
    if risk is Risk.EXIT_ERROR:
        if max_exit_error is None or max_fnr is not None:
            raise Stage1Error("--risk exit_error needs --max-exit-error and takes no --max-fnr; correct the options")
        promise = {"max_risk": max_exit_error}
    try:
        return RiskConstraint(
            risk=risk.value, confidence=confidence, max_fpr_on_exited=max_fpr, counting=counting.value, **promise
        )
    except ValidationError as error:
        first = error.errors()[0]
        field = str(next(iter(first["loc"]), "promise"))
        option = _OPTIONS.get(field, field)
        if field == "max_risk" and risk is Risk.EXIT_ERROR:
            option = "with --risk exit_error, --max-exit-error"
        raise Stage1Error(f"{option} is {first['input']}: {first['msg']}; correct it") from error


def config_of(kind: Kind, grid_size: int, signal: Signal | None, positives: Positives | None) -> AnyPolicyConfig:
    """How to fit. Raises `Stage1Error` for options of another kind."""
    from stage1_core.errors import Stage1Error
    from stage1_core.policy import GatePolicyConfig, ScrcPolicyConfig, SoftmaxPolicyConfig
    from stage1_core.policy.scrc_paths import ScrcGrid
    from stage1_core.policy.softmax import QuantileGrid

    chosen = {name: value.value for name, value in (("signal", signal), ("positives", positives)) if value is not None}
    if kind is Kind.SCRC:
        return ScrcPolicyConfig(grid=ScrcGrid.model_validate({"size": grid_size, **chosen}))
    if chosen:
        raise Stage1Error(f"a {kind} policy takes no --{' and no --'.join(chosen)}; leave that out, or fit scrc")
    if kind is Kind.GATE:
        return GatePolicyConfig(grid_size=grid_size)
    return SoftmaxPolicyConfig(grid=QuantileGrid(size=grid_size))
