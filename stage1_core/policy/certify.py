"""The one search that all policies use: fixed-sequence testing from strict to lax."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

import numpy as np
from pydantic import Field

from stage1_core.acceptance import RiskCheck
from stage1_core.config import FrozenModel
from stage1_core.digests import digest_of_bytes
from stage1_core.errors import PolicyError
from stage1_core.metrics.intervals import trials_needed
from stage1_core.metrics.risk import RiskEstimate, coverage, exit_error
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.predictions import Decisions, Predictions, Scores
from stage1_core.splits import Purpose

Fraction = Annotated[float, Field(ge=0, le=1)]


class Decides(Protocol):
    """Anything that turns scores into decisions."""

    def decide(self, scores: Scores) -> Decisions:
        """Decisions for ``n`` scores."""
        ...


class SweepLevel(FrozenModel):
    """One candidate of the sequence, as it was seen on the certifying rows."""

    threshold: float
    """Smallest confidence that exits, a probability."""
    exited: int
    rows: int
    events: int
    """Events of the constrained risk; misses, for FNR on exited."""
    trials: int
    exit_errors: int
    p_value: Fraction
    certified: bool
    """False also for levels behind the first failure: they were looked at for the report, not tested."""

    @property
    def coverage(self) -> float:
        """Share of the certifying rows that exits."""
        return self.exited / self.rows

    @property
    def exit_accuracy(self) -> float | None:
        """Share of the exited rows that is called right; None where none exits."""
        return 1 - self.exit_errors / self.exited if self.exited else None


class Certificate(FrozenModel):
    """Why a policy may be released: the count behind the promise and the search that found it."""

    constraint: RiskConstraint
    events: int
    trials: int
    p_value: Fraction
    upper_bound: Fraction
    """Exact one-sided bound at the constraint's confidence."""
    purpose: Purpose
    """Which rows certified."""
    rows_digest: str
    """sha256 of the certifying ids."""
    order_rows_digest: str
    """sha256 of the ids that the order and the start were learnt on."""
    candidates_digest: str
    """sha256 of the rules, in order, that were registered before any certifying row was read."""
    levels_tested: int


class Shortfall(FrozenModel):
    """Why nothing was certified, and what would change that. It speaks of the level that the sequence started with."""

    kind: Literal["shortfall"] = "shortfall"
    events: int
    trials: int
    more_trials: int
    """How many more, without a further event, would certify that level; 0 where a guard stood in the way."""

    @property
    def message(self) -> str:
        """One sentence for people."""
        seen = f"no exit: {self.events} of {self.trials} certifying rows broke the promise where the search started"
        if self.more_trials == 0:
            return f"{seen}; that is few enough, but a guard was not met"
        return f"{seen}; {self.more_trials} more such rows without a further break are needed"


class NotSearched(FrozenModel):
    """Why no search was made: there is no exit rule to search with."""

    kind: Literal["not_searched"] = "not_searched"
    reason: str

    @property
    def message(self) -> str:
        """One sentence for people."""
        return f"no exit: {self.reason}; nothing was tested on the certifying rows"


@dataclass(frozen=True, slots=True, eq=False)
class SequenceResult:
    """Outcome of the search: every level, and the certificate of the laxest certified one if there is any."""

    levels: tuple[SweepLevel, ...]
    best: int | None
    """Index of the laxest certified level."""
    certificate: Certificate | None
    shortfall: Shortfall | None


def ids_digest(predictions: Predictions) -> str:
    """sha256 of the sorted ids: which rows were read, independent of their order."""
    return digest_of_bytes("\n".join(sorted(predictions.scores.ids.tolist())).encode())


def fixed_sequence(
    candidates: Sequence[tuple[float, Decides]],
    certify_on: Predictions,
    constraint: RiskConstraint,
    *,
    order_rows_digest: str,
) -> SequenceResult:
    """Test ``candidates``, (threshold, policy) pairs, in the given order and stop at the first that fails.

    The order and the start must come from other rows than ``certify_on``. Then the probability that any certified
    candidate breaks the constraint is at most 1 - confidence, whatever the shape of the risk: the first true null in
    the sequence is rejected with that probability at most (Learn then Test, arXiv 2110.01052, fixed-sequence testing).
    ``certify_on`` must hold independent rows. Raises `PolicyError` without candidates.
    """
    if not candidates:
        raise PolicyError("there is no candidate to certify; give the grid at least one threshold")
    levels: list[SweepLevel] = []
    alive = True
    for threshold, policy in candidates:
        decisions = policy.decide(certify_on.scores)
        demands = constraint.demands(decisions, certify_on.labels)
        found = demands[0].risk
        p_value = max(demand.p_value for demand in demands)  # valid for the union of their nulls
        alive = alive and p_value <= constraint.delta
        exited = coverage(decisions, certify_on.labels)
        levels.append(
            SweepLevel(
                threshold=threshold,
                exited=exited.events,
                rows=exited.trials,
                events=found.events,
                trials=found.trials,
                exit_errors=exit_error(decisions, certify_on.labels).events,
                p_value=p_value,
                certified=alive,
            )
        )
    certified = [index for index, level in enumerate(levels) if level.certified]
    if not certified:
        return SequenceResult(tuple(levels), None, None, _shortfall(levels[0], constraint))
    best = max(certified, key=lambda index: (levels[index].exited, index))
    level = levels[best]
    certificate = Certificate(
        constraint=constraint,
        **_proof(level, constraint),
        purpose=certify_on.purpose,
        rows_digest=ids_digest(certify_on),
        order_rows_digest=order_rows_digest,
        candidates_digest=digest_of_bytes(repr(list(candidates)).encode()),
        levels_tested=min(len(levels), len(certified) + 1),
    )
    return SequenceResult(tuple(levels), best, certificate, None)


def certified_level(levels: Sequence[SweepLevel], threshold: float) -> SweepLevel:
    """The certified level of exactly this threshold. Raises `PolicyError` where there is none."""
    certified = {level.threshold: level for level in levels if level.certified}
    if threshold not in certified:
        known = ", ".join(f"{level:.6g}" for level in sorted(certified))
        raise PolicyError(f"the threshold {threshold:.6g} is not among the certified ones; take one of {known}")
    return certified[threshold]


def certificate_at(level: SweepLevel, certificate: Certificate) -> Certificate:
    """``certificate`` for another certified ``level`` of its sequence.

    The confidence covers all certified levels at once, so each may be chosen, on whatever rows (Learn then Test).
    """
    return certificate.model_copy(update=_proof(level, certificate.constraint))


def _proof(level: SweepLevel, constraint: RiskConstraint) -> dict[str, Any]:
    """The fields of a certificate that belong to one level."""
    return {
        "events": level.events,
        "trials": level.trials,
        "p_value": level.p_value,
        "upper_bound": RiskEstimate(level.events, level.trials).upper_bound(constraint.confidence),
    }


def _shortfall(start: SweepLevel, constraint: RiskConstraint) -> Shortfall:
    needed = trials_needed(start.events, constraint.max_risk, constraint.confidence)
    return Shortfall(events=start.events, trials=start.trials, more_trials=max(0, needed - start.trials))


class CallsEverythingNegative:
    """The known-bad policy of the negative control: every picture exits as "no roadwork"."""

    def decide(self, scores: Scores) -> Decisions:
        """All {0}."""
        n = len(scores)
        return Decisions.of(np.ones(n, dtype=np.bool_), np.zeros(n, dtype=np.int64))


def risk_check(
    name: str, policy: Decides, rows: Predictions, constraint: RiskConstraint, *, no_exit_reason: str | None = None
) -> RiskCheck:
    """The acceptance check of ``policy`` on ``rows`` (independent rows), with its negative control."""
    found = constraint.estimate(policy.decide(rows.scores), rows.labels)
    control = constraint.estimate(CallsEverythingNegative().decide(rows.scores), rows.labels)
    return RiskCheck(
        name=name,
        max_risk=constraint.max_risk,
        confidence=constraint.confidence,
        risk=found.counted(constraint.confidence),
        negative_control=control.counted(constraint.confidence),
        trials_needed=trials_needed(found.events, constraint.max_risk, constraint.confidence),
        no_exit_reason=no_exit_reason,
    )
