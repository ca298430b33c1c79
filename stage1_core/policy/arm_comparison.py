"""Training recipes side by side: the numbers of all their models on the same rows, and what may be said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, product
from typing import Annotated

import numpy as np
from pydantic import Field

from stage1_core.config import FrozenModel
from stage1_core.metrics.bootstrap import BootstrapConfig, Interval, Resampled, bootstrap
from stage1_core.metrics.simultaneous import critical_value, reach
from stage1_core.metrics.statistics import Combination, Statistic, augrc_of, mcc_of, mean_of
from stage1_core.metrics.suite import read
from stage1_core.policy.arms import Arm, ArmCost, same_rows
from stage1_core.policy.certifiable_coverage import CertifiableCoverage, certifiable_coverage
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.predictions import Boolean, Float

DECIDING = ("augrc", "accuracy", "mcc")
"""Numbers that a choice looks at."""
COMPARED = (*DECIDING, "certifiable_coverage")
"""Numbers whose differences are reported."""


class OverSeeds(FrozenModel):
    """A number of each trained model, in the order of the seeds. None where it is undefined."""

    values: Annotated[tuple[float | None, ...], Field(min_length=1)]

    @property
    def mean(self) -> float | None:
        """None where a value is undefined."""
        defined = self._defined()
        return float(np.mean(defined)) if len(defined) == len(self.values) else None

    @property
    def std(self) -> float | None:
        """Standard deviation of a single training; None of fewer than two, or where a value is undefined."""
        defined = self._defined()
        return float(np.std(defined, ddof=1)) if len(defined) == len(self.values) > 1 else None

    def minus(self, other: OverSeeds) -> OverSeeds:
        """The difference for each seed."""
        pairs = zip(self.values, other.values, strict=True)
        return OverSeeds(values=tuple(None if a is None or b is None else a - b for a, b in pairs))

    def _defined(self) -> list[float]:
        return [value for value in self.values if value is not None]


class SeenArm(FrozenModel):
    """An arm as it was seen: the numbers of all its models, and its cost."""

    name: str
    cost: ArmCost
    augrc: OverSeeds
    accuracy: OverSeeds
    mcc: OverSeeds
    certifiable: tuple[CertifiableCoverage, ...]
    """What might exit under the promise, by seed; optimistic."""

    @property
    def mean_augrc(self) -> float:
        """Over seeds; an area is defined on any rows."""
        assert self.augrc.mean is not None
        return self.augrc.mean

    @property
    def certifiable_coverage(self) -> OverSeeds:
        """As fractions."""
        return OverSeeds(values=tuple(found.coverage for found in self.certifiable))


class Difference(FrozenModel):
    """A seed-averaged number of one arm minus that of another."""

    alone: Interval
    """Paired, rows drawn again by group: what other rows would have changed for these trained models, if this were the
    only difference that is looked at. It knows nothing of how the next training would turn out."""
    training_error: float | None
    """Standard error of the mean over seeds, from the paired differences by seed; None with one seed. These differ also
    by what the rows do to each model, which is in ``alone`` too. Counted twice it costs power; taken out, where few
    seeds leave the rest uncertain, the luck of training passed for a gain in 13 to 16 % of draws instead of 5 %."""


class DecidingDifference(Difference):
    """A difference that a choice looks at. Its ends hold together with those of all other arms and numbers."""

    lower: float | None
    upper: float | None
    """For rows drawn again and, with two or more seeds, for recipes trained again."""


class ArmAgainst(FrozenModel):
    """One arm minus another."""

    augrc: DecidingDifference
    accuracy: DecidingDifference
    mcc: DecidingDifference
    certifiable_coverage: Difference
    """At thresholds that were fixed before the rows were drawn again."""


class ArmComparison(FrozenModel):
    """All arms on the same rows. The best of many looks better here than it is: it was picked on these rows."""

    rows: Annotated[int, Field(gt=0)]
    groups: Annotated[int, Field(gt=0)]
    """Drawn whole by the bootstrap."""
    seeds: tuple[int, ...]
    level: Annotated[float, Field(gt=0, lt=1)]
    """Two-sided, of every interval. With a probability of about (1 + level) / 2 none of the unfavourable ends of
    `DecidingDifference` against one arm, of all arms and numbers, flatters."""
    promise: RiskConstraint
    reference: str
    """What stays unless another arm is shown to be better."""
    best: str
    """The arm with the lowest AUGRC on these rows."""
    arms: tuple[SeenArm, ...]
    to_reference: dict[str, ArmAgainst]
    """Every other arm minus the reference."""
    to_best: dict[str, ArmAgainst]
    """Every other arm minus the best. The best may be any of them, and each comparison with it is made with the
    critical value of all comparisons with it (Hsu, Annals of Statistics 12, 1984)."""

    def arm(self, name: str) -> SeenArm:
        """By name."""
        return next(arm for arm in self.arms if arm.name == name)

    @property
    def challengers(self) -> tuple[SeenArm, ...]:
        """All but the reference."""
        return tuple(arm for arm in self.arms if arm.name != self.reference)


def compare_arms(
    arms: Sequence[Arm], reference: str, promise: RiskConstraint, config: BootstrapConfig
) -> ArmComparison:
    """Numbers of every arm over its seeds, and paired differences to the reference and to the best.

    Groups are drawn once for all arms and seeds, and each resample evaluates the same seed-averaged numbers, so what
    arms have in common cancels. Raises `PolicyError` or `SplitUseError` for arms that `same_rows` refuses.
    """
    rows = same_rows(arms, reference)
    counted: Boolean = np.isin(rows.scores.ids, promise.countable(rows).scores.ids)
    found = {arm.name: tuple(certifiable_coverage(run.rows, counted, promise) for run in arm.runs) for arm in arms}
    statistics = {arm.name: _statistics(arm, found[arm.name]) for arm in arms}
    seen = tuple(_seen(arm, statistics[arm.name], found[arm.name]) for arm in arms)
    best = min(seen, key=lambda arm: arm.mean_augrc).name
    pairs = [(name, base) for base in dict.fromkeys((reference, best)) for name in statistics if name != base]
    made = bootstrap(
        {
            _key(number, *pair): _mean_difference(*(statistics[name][number] for name in pair))
            for pair, number in product(pairs, COMPARED)
        },
        strata=rows.labels,
        clusters=rows.groups,
        config=config,
        generator=config.generator(),
    )
    return ArmComparison(
        rows=len(rows),
        groups=len(np.unique(rows.groups)),
        seeds=arms[0].seeds,
        level=config.level,
        promise=promise,
        reference=reference,
        best=best,
        arms=seen,
        to_reference=_against(seen, reference, made, config.level),
        to_best=_against(seen, best, made, config.level),
    )


def _statistics(arm: Arm, found: Sequence[CertifiableCoverage]) -> dict[str, list[Statistic]]:
    """Each compared number as a function of row weights, by seed."""
    statistics: dict[str, list[Statistic]] = {number: [] for number in COMPARED}
    for run, certifiable in zip(arm.runs, found, strict=True):
        reading = read(run.rows)
        statistics["augrc"].append(augrc_of(reading.confidence, ~reading.correct))
        statistics["accuracy"].append(mean_of(reading.correct.astype(np.float64)))
        statistics["mcc"].append(mcc_of(reading.predicted, run.rows.labels))
        statistics["certifiable_coverage"].append(mean_of(certifiable.exits(run.rows).astype(np.float64)))
    return statistics


def _seen(arm: Arm, statistics: Mapping[str, Sequence[Statistic]], found: tuple[CertifiableCoverage, ...]) -> SeenArm:
    once = np.ones((1, len(arm.runs[0].rows)))

    def over_seeds(number: str) -> OverSeeds:
        values = [float(statistic(once)[0]) for statistic in statistics[number]]
        return OverSeeds(values=tuple(None if np.isnan(value) else value for value in values))

    return SeenArm(
        name=arm.name,
        cost=arm.cost,
        augrc=over_seeds("augrc"),
        accuracy=over_seeds("accuracy"),
        mcc=over_seeds("mcc"),
        certifiable=found,
    )


def _mean_difference(arm: Sequence[Statistic], base: Sequence[Statistic]) -> Combination:
    """Seed by seed, so that equal models cancel exactly."""
    share = 1 / len(arm)
    pairs = (((share, new), (-share, old)) for new, old in zip(arm, base, strict=True))
    return Combination(tuple(chain.from_iterable(pairs)))


def _key(number: str, arm: str, base: str) -> str:
    return f"{number} of {arm!r} minus {base!r}"


def _against(seen: Sequence[SeenArm], base: str, made: Resampled, level: float) -> dict[str, ArmAgainst]:
    """Every arm minus ``base``, whose deciding differences share one critical value."""
    (old,) = (arm for arm in seen if arm.name == base)
    others = [arm for arm in seen if arm.name != base]
    keys = [_key(number, arm.name, base) for arm, number in product(others, DECIDING)]
    values = np.array([made.intervals[key].value for key in keys], dtype=np.float64)  # None becomes NaN
    draws: Float = np.stack([made.draws[key] for key in keys], axis=1)
    critical = critical_value(values, draws, (1 + level) / 2)

    def difference(number: str, arm: SeenArm) -> Difference:
        by_seed: OverSeeds = getattr(arm, number).minus(getattr(old, number))
        error = None if by_seed.std is None else by_seed.std / len(by_seed.values) ** 0.5
        return Difference(alone=made.intervals[_key(number, arm.name, base)], training_error=error)

    def deciding(number: str, arm: SeenArm) -> DecidingDifference:
        found, runs = difference(number, arm), len(arm.certifiable)
        value, rows_error, error = found.alone.value, found.alone.std, found.training_error or 0.0
        lower = upper = None
        if value is not None and rows_error is not None:
            length = reach(critical, rows_error, error, runs)
            lower, upper = value - length, value + length
        return DecidingDifference(**dict(found), lower=lower, upper=upper)

    return {
        arm.name: ArmAgainst(
            augrc=deciding("augrc", arm),
            accuracy=deciding("accuracy", arm),
            mcc=deciding("mcc", arm),
            certifiable_coverage=difference("certifiable_coverage", arm),
        )
        for arm in others
    }
