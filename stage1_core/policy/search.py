"""What all certified policies share: the search that finds their threshold, and the record that it leaves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Generic

from pydantic import Field

from stage1_core import __version__
from stage1_core.config import FrozenModel
from stage1_core.errors import PolicyError
from stage1_core.metrics.risk import RiskEstimate, fnr_on_exited
from stage1_core.policy.certify import (
    Certificate,
    SweepLevel,
    certificate_at,
    certified_level,
    fixed_sequence,
    ids_digest,
)
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.policy.no_exit import NoExit
from stage1_core.policy.path import Path, Rule, most_promising
from stage1_core.predictions import Predictions
from stage1_core.splits import Split

Fraction = Annotated[float, Field(ge=0, le=1)]


class CertifiedRecord(FrozenModel):
    """What a certified policy records beside its rule: its numbers on the certifying rows, its sweep, its proof."""

    fnr_on_exits: Fraction | None
    """Share of exited positives called 0 on the certifying rows; None where none exited, or where `at_threshold` read
    it off a sweep of another risk."""
    coverage: Fraction
    """Share of the certifying rows that exits."""
    exit_accuracy: Fraction | None
    """Share of exited certifying rows that is called right."""
    sweep_results: tuple[SweepLevel, ...]
    certificate: Certificate
    order_split: Split = Split.VAL_SELECT
    certify_split: Split = Split.VAL_CALIB
    stage1_core_version: str = __version__

    can_exit: ClassVar[bool] = True
    no_exit_reason: ClassVar[None] = None

    @property
    def constraint(self) -> RiskConstraint:
        """The promise."""
        return self.certificate.constraint

    def record_at(self, level_threshold: float) -> dict[str, Any]:
        """The fields of this record at another certified level. Raises `PolicyError` for a level that is not."""
        level = certified_level(self.sweep_results, level_threshold)
        counts_misses = self.constraint.risk == fnr_on_exited.name
        return {
            "fnr_on_exits": RiskEstimate(level.events, level.trials).rate if counts_misses else None,
            "coverage": level.coverage,
            "exit_accuracy": level.exit_accuracy,
            "certificate": certificate_at(level, self.certificate),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Found(Generic[Rule]):
    """The laxest certified exit rule and its record."""

    rule: Rule
    record: CertifiedRecord


def search(
    paths: Callable[[Predictions], Sequence[Path[Rule]]],
    order_on: Predictions,
    certify_on: Predictions,
    constraint: RiskConstraint,
) -> Found[Rule] | NoExit:
    """The laxest certified rule, or `NoExit` with what is missing. Counts the rows that the constraint says.

    ``paths`` makes the paths of which one is tested from those ordering rows that are counted. Raises `PolicyError`
    when a row both orders and certifies or none orders.
    """
    require_apart(order=order_on, certify=certify_on)
    if len(order_on) == 0:
        raise PolicyError("no row to order the thresholds on; give the rows that the model was selected on")
    order, rows = constraint.countable(order_on), constraint.countable(certify_on)
    tested = most_promising(paths(order), order, rows.labels, constraint)
    result = fixed_sequence(tested, rows, constraint, order_rows_digest=ids_digest(order))
    if result.certificate is None or result.best is None:
        assert result.shortfall is not None
        return NoExit(constraint=constraint, sweep_results=result.levels, shortfall=result.shortfall)
    level = result.levels[result.best]
    _, rule = tested[result.best]
    record = CertifiedRecord(
        fnr_on_exits=fnr_on_exited(rule.decide(rows.scores), rows.labels).rate,
        coverage=level.coverage,
        exit_accuracy=level.exit_accuracy,
        sweep_results=result.levels,
        certificate=result.certificate,
    )
    return Found(rule, record)


def require_apart(**rows: Predictions) -> None:
    """Raise `PolicyError` when an id occurs in two of the named sets, whose names say what they are used for."""
    used: dict[str, str] = {}
    for use, predictions in rows.items():
        ids = predictions.scores.ids.tolist()
        shared = sorted(used.keys() & set(ids))
        if shared:
            raise PolicyError(f"{len(shared)} rows {used[shared[0]]} and {use}, e.g. {shared[0]}; split them apart")
        used.update(dict.fromkeys(ids, use))
