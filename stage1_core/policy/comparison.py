"""Two policies on the same rows: the one that is released and the one that would replace it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from stage1_core.config import FrozenModel
from stage1_core.errors import PolicyError
from stage1_core.metrics.bootstrap import BootstrapConfig, Interval, bootstrap
from stage1_core.metrics.resampling import exit_statistics, model_statistics
from stage1_core.metrics.risk import fpr_on_exited
from stage1_core.metrics.statistics import Statistic, difference_of
from stage1_core.metrics.suite import ExitQuality, ModelQuality, exit_quality, model_quality
from stage1_core.policy import AnyPolicy, NoExit
from stage1_core.predictions import Decisions, Predictions
from stage1_core.splits import Purpose

COMPARED = ("coverage", "fnr_on_exited", "fpr_on_exited", "exit_error", "accuracy", "augrc")
"""Numbers whose differences are looked at."""


class ComparisonConfig(FrozenModel):
    """When a challenger takes the place of what stands."""

    min_coverage_gain: Annotated[float, Field(ge=0, lt=1)] = 0.005
    """What the lower end of the paired interval of the coverage gain must reach, as a fraction of all pictures; at 0 a
    challenger need not be better, but is shown not to be worse."""
    max_accuracy_loss: Annotated[float, Field(ge=0, lt=1)] = 0.01
    """What the accuracy may lose at most, as a fraction, by the lower end of its paired interval."""
    bootstrap: BootstrapConfig = BootstrapConfig(level=0.9)
    """Paired, clustered by group, stratified by class. Its lower ends are what decides: one-sided 95 % by default."""


class ComparedPolicy(FrozenModel):
    """One side of a comparison."""

    name: str
    rule: str
    """When a picture exits, in words."""
    no_exit_reason: str | None
    """Why nothing exits, where nothing does."""
    model: ModelQuality
    exits: ExitQuality
    """All rows."""


class PolicyComparison(FrozenModel):
    """What was seen of both policies on the same rows."""

    purpose: Purpose
    rows: Annotated[int, Field(ge=0)]
    groups: Annotated[int, Field(ge=0)]
    """Drawn whole by the bootstrap."""
    level: Annotated[float, Field(gt=0, lt=1)]
    """Two-sided, of the intervals."""
    confidence: Annotated[float, Field(ge=0.5, lt=1)]
    """Of the one-sided exact bounds on each side's own counts."""
    incumbent: ComparedPolicy
    challenger: ComparedPolicy
    differences: dict[str, Interval]
    """Challenger minus incumbent, paired, of each of `COMPARED`. Fractions."""


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """A named policy with its own model's predictions of the rows that both are compared on."""

    name: str
    policy: AnyPolicy
    rows: Predictions

    @property
    def decisions(self) -> Decisions:
        """What the policy does with the rows."""
        return self.policy.decide(self.rows.scores)


def at_matched_fpr(challenger: AnyPolicy, rows: Predictions, incumbent: Side) -> AnyPolicy:
    """``challenger`` at its laxest certified level whose FPR on exited is not above the incumbent's.

    A fixed sequence certifies all levels before its first failure together, so any of them may be used at no further
    cost in confidence. ``rows`` are the challenger's predictions of the incumbent's SELECT_MODEL rows; the choice reads
    these alone. Where no level matches, the certified one with the lowest FPR is taken; the comparison will show it.
    """
    if isinstance(challenger, NoExit):
        return challenger
    rows.require(Purpose.SELECT_MODEL)
    ceiling = fpr_on_exited(incumbent.decisions, incumbent.rows.labels).rate
    certified = [level.threshold for level in challenger.sweep_results if level.certified]
    candidates = [challenger.at_threshold(threshold) for threshold in certified]
    made = [policy.decide(rows.scores) for policy in candidates]
    rates = [fpr_on_exited(decisions, rows.labels).rate for decisions in made]
    matching = [
        # no negative exits: there is no false alarm to match
        index
        for index, rate in enumerate(rates)
        if rate is None or (ceiling is not None and rate <= ceiling)
    ]
    if matching:
        return candidates[max(matching, key=lambda index: (int(made[index].exited.sum()), index))]
    defined = {index: rate for index, rate in enumerate(rates) if rate is not None}
    return candidates[min(defined, key=lambda index: (defined[index], -index))]


def compare(
    incumbent: Side, challenger: Side, config: BootstrapConfig, *, purpose: Purpose, exact_confidence: float
) -> PolicyComparison:
    """Both sides counted, with paired, clustered bootstrap intervals of their differences.

    ``purpose`` says which rows both sides must hold: SELECT_MODEL rows choose what is released, FINAL_EVALUATION rows
    judge what was released already. ``exact_confidence`` becomes `PolicyComparison.confidence`. Raises `PolicyError`
    where the sides do not hold the same rows in the same order, `SplitUseError` where they were read for another
    purpose.
    """
    old, new = incumbent.rows, challenger.rows
    old.require(purpose)
    new.require(purpose)
    if not np.array_equal(old.scores.ids, new.scores.ids):
        raise PolicyError("the two policies must be compared on the same rows in the same order; predict both again")
    made = bootstrap(
        _differences(incumbent, challenger),
        strata=old.labels,
        clusters=old.groups,
        config=config,
        generator=config.generator(),
    )
    return PolicyComparison(
        purpose=purpose,
        rows=len(old),
        groups=len(np.unique(old.groups)),
        level=config.level,
        confidence=exact_confidence,
        incumbent=_seen(incumbent, exact_confidence),
        challenger=_seen(challenger, exact_confidence),
        differences=dict(made.intervals),
    )


def _seen(side: Side, exact_confidence: float) -> ComparedPolicy:
    return ComparedPolicy(
        name=side.name,
        rule=side.policy.rule_in_words(),
        no_exit_reason=side.policy.no_exit_reason,
        model=model_quality(side.rows),
        exits=exit_quality(side.rows, side.decisions, exact_confidence),
    )


def _differences(incumbent: Side, challenger: Side) -> dict[str, Statistic]:
    old, new = _statistics(incumbent), _statistics(challenger)
    return {name: difference_of(new[name], old[name]) for name in COMPARED}


def _statistics(side: Side) -> dict[str, Statistic]:
    return model_statistics(side.rows) | exit_statistics(side.rows, side.decisions)
