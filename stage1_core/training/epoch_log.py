"""metrics.csv: one row for each epoch, beginning with the historical trainer's columns."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Protocol

from pydantic import Field

from stage1_core.config import FrozenModel
from stage1_core.metrics.gate_quality import GateQuality
from stage1_core.metrics.suite import COVERAGES, MAX_RISKS
from stage1_core.training.evaluation import EpochMetrics

HISTORICAL_HEADER = "Epoch,Train_Loss,Train_Acc,Val_Loss,Val_Acc,ECE,Exit_Coverage,Exit_Acc,Best_Val_Acc,LR"
"""Accuracies and coverage in percent, ECE a fraction, the epoch from 1."""
SELECTIVE_HEADER = (
    "NLL,Brier,AUGRC,Exited,Exited_Positives,Missed_Positives,FNR_on_exited,FNR_on_exited_upper90,"
    "Exit_Coverage_lower90,Exit_Coverage_upper90"
)
"""Rates as fractions; bounds one-sided and exact at 90 %; undefined is an empty field. No timings: the file travels in
the bundle, and equal trainings give equal bundles."""
RANKING_HEADER = ",".join(
    (*(f"Risk@Coverage_{share:g}" for share in COVERAGES), *(f"Coverage@Risk_{ceiling:g}" for ceiling in MAX_RISKS))
)
"""Of the confidence, as fractions."""
GATE_HEADER = "Gate_Mean,Gate_Std,Gate_AUROC,AUGRC_gate"
"""Uncalibrated; empty where the head has no gate."""
HEADER = f"{HISTORICAL_HEADER},{SELECTIVE_HEADER},{RANKING_HEADER},{GATE_HEADER}"

_BOUND_CONFIDENCE = 0.90


class EpochLogConfig(FrozenModel):
    """What metrics.csv shows."""

    legacy_exit_threshold_for_logging: Annotated[float, Field(ge=0.5, le=1)] = 0.88
    """Probability at which the log counts a picture as exited. For monitoring alone: no policy reads it."""
    best_accuracy: Literal["after_epoch", "before_epoch"] = "after_epoch"
    """Whether Best_Val_Acc includes the row's own epoch; historically it did not."""


class LoggedEpoch(Protocol):
    """What a row is made of."""

    @property
    def epoch(self) -> int: ...  # noqa: D102
    @property
    def train_loss(self) -> float: ...  # noqa: D102
    @property
    def train_accuracy(self) -> float: ...  # noqa: D102
    @property
    def val_loss(self) -> float: ...  # noqa: D102
    @property
    def metrics(self) -> EpochMetrics: ...  # noqa: D102
    @property
    def best_accuracy_before(self) -> float | None: ...  # noqa: D102
    @property
    def learning_rate(self) -> float: ...  # noqa: D102


def epoch_row(result: LoggedEpoch, config: EpochLogConfig) -> str:
    """The row of one epoch, without line end.

    The historical columns have the historical formats, Exit_Acc 0.00 where nothing exits and Best_Val_Acc 0.00
    before the first best included; in the columns after them undefined is empty.
    """
    metrics = result.metrics
    exit_error = metrics.exit_error.rate
    exit_accuracy = 0.0 if exit_error is None else 1 - exit_error
    best = result.best_accuracy_before or 0.0
    if config.best_accuracy == "after_epoch":
        best = max(best, metrics.accuracy)
    missed, exits = metrics.fnr_on_exited, metrics.exit_coverage
    fields = (
        f"{result.epoch:d}",
        f"{result.train_loss:.4f}",
        f"{100 * result.train_accuracy:.2f}",
        f"{result.val_loss:.4f}",
        f"{100 * metrics.accuracy:.2f}",
        f"{metrics.ece:.4f}",
        f"{100 * metrics.exited / metrics.rows:.1f}",
        f"{100 * exit_accuracy:.2f}",
        f"{100 * best:.2f}",
        f"{result.learning_rate:.2e}",
        f"{metrics.nll:.6f}",
        f"{metrics.brier:.6f}",
        f"{metrics.augrc:.6f}",
        f"{metrics.exited:d}",
        f"{metrics.exited_positives:d}",
        f"{metrics.missed:d}",
        _field(missed.rate),
        "" if missed.rate is None else f"{missed.upper_bound(_BOUND_CONFIDENCE):.6f}",
        f"{exits.lower_bound(_BOUND_CONFIDENCE):.6f}",
        f"{exits.upper_bound(_BOUND_CONFIDENCE):.6f}",
        *(_field(metrics.risk_at_coverage[f"{share:g}"]) for share in COVERAGES),
        *(_field(metrics.coverage_at_risk[f"{ceiling:g}"]) for ceiling in MAX_RISKS),
        *_gate_fields(metrics.gate),
        _field(metrics.augrc_gate),
    )
    return ",".join(fields)


def write_log(path: Path, rows: Sequence[str]) -> None:
    """Write the whole file anew and put it in place at once: a reader never sees half a row."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text("\n".join((HEADER, *rows)) + "\n", encoding="utf-8")
    draft.replace(path)


def read_rows(path: Path) -> list[str]:
    """Rows that `write_log` wrote, to continue after a killed run; empty where there is no file."""
    return path.read_text(encoding="utf-8").splitlines()[1:] if path.exists() else []


def read_numbers(path: Path) -> list[dict[str, float | None]]:
    """The rows of a log as numbers by column; an empty field is None."""
    columns = HEADER.split(",")
    return [
        {name: float(field) if field else None for name, field in zip(columns, row.split(","), strict=True)}
        for row in read_rows(path)
    ]


def _gate_fields(gate: GateQuality | None) -> tuple[str, str, str]:
    if gate is None:
        return "", "", ""
    return _field(gate.mean_probability), _field(gate.std_probability), _field(gate.auroc)


def _field(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"
