"""The softmax policy: exit where the larger class probability reaches a threshold."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from stage1_core.config import FrozenModel
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.policy.no_exit import NoExit
from stage1_core.policy.path import Path, quantile_levels
from stage1_core.policy.search import CertifiedRecord, search
from stage1_core.predictions import Boolean, Decisions, Float, Predictions, Scores
from stage1_core.splits import Purpose

NOTHING_EXITS = 2.0
"""A threshold that no probability reaches; that of large logits is 1 to the last digit."""

Threshold = Annotated[float, Field(ge=0.5, le=1)]


class ThresholdExit(FrozenModel):
    """The bare exit rule, before and after it is certified: p₁ >= τ or p₁ <= 1 - τ."""

    exit_threshold: Annotated[float, Field(ge=0.5, le=NOTHING_EXITS)]
    """Smallest probability of the likelier class that exits; above 1 nothing does."""

    def decide(self, scores: Scores) -> Decisions:
        """Exit the likelier class where its probability is at least the threshold. A tie of the classes is a 1."""
        exits: Boolean = scores.confidence >= self.exit_threshold
        return Decisions.of(exits, scores.likelier_class)


class SoftmaxPolicy(ThresholdExit, CertifiedRecord):
    """A certified threshold. This model is ``thresholds.json``."""

    kind: Literal["softmax"] = "softmax"

    rest: ClassVar[Literal["second_stage"]] = "second_stage"
    """Who answers the pictures that do not exit."""

    @property
    def threshold(self) -> float:
        """The certified level in force, a probability."""
        return self.exit_threshold

    def rule_in_words(self) -> str:
        """Which pictures exit."""
        return f"P(likelier class) ≥ {self.exit_threshold!r}"

    def at_threshold(self, level_threshold: float) -> SoftmaxPolicy:
        """The same policy at another certified level of its sweep. Raises `PolicyError` for a level that is not."""
        return self.model_copy(update={"exit_threshold": level_threshold, **self.record_at(level_threshold)})

    def strictest(self) -> SoftmaxPolicy:
        """The same policy at a threshold that nothing reaches: for rehearsing a release."""
        return self.model_copy(update={"exit_threshold": NOTHING_EXITS})


class FixedGrid(FrozenModel):
    """Thresholds written down beforehand."""

    kind: Literal["fixed"] = "fixed"
    thresholds: Annotated[tuple[Threshold, ...], Field(min_length=1)] = (
        0.70,
        0.75,
        0.80,
        0.85,
        0.88,
        0.90,
        0.92,
        0.95,
        0.97,
        0.99,
    )
    """Probabilities, in any order."""

    def levels(self, order_on: Predictions) -> Float:
        """The thresholds, strict to lax; the rows are not looked at."""
        return np.sort(np.unique(np.array(self.thresholds)))[::-1]


class QuantileGrid(FrozenModel):
    """Quantiles of the confidence on the ordering rows: fine where the scores are, also for overconfident models."""

    kind: Literal["quantile"] = "quantile"
    size: Annotated[int, Field(ge=2, le=2000)] = 50
    """Number of levels; ties merge."""

    def levels(self, order_on: Predictions) -> Float:
        """``(<= size,)`` thresholds, strict to lax, ending where everything exits."""
        return quantile_levels(order_on.scores.confidence, self.size)


class SoftmaxPolicyConfig(FrozenModel):
    """How the threshold is searched: grid and start are learnt on VAL_SELECT, the certificate on VAL_CALIB."""

    kind: Literal["softmax"] = "softmax"
    grid: Annotated[FixedGrid | QuantileGrid, Field(discriminator="kind")] = QuantileGrid()
    """The candidate thresholds."""

    certifies_on: ClassVar[Purpose] = Purpose.CERTIFY_UNCALIBRATED_POLICY

    def fit(self, order_on: Predictions, certify_on: Predictions, constraint: RiskConstraint) -> SoftmaxPolicy | NoExit:
        """The laxest certified threshold, or `NoExit` with what is missing. Counts the rows that the constraint says.

        Raises `SplitUseError` for rows of another purpose and `PolicyError` when the two sets share an id or there is
        nothing to order on.
        """
        order_on.require(Purpose.SELECT_MODEL)
        certify_on.require(Purpose.CERTIFY_POLICY, Purpose.CERTIFY_UNCALIBRATED_POLICY)
        found = search(
            lambda order: [Path.of(self.grid.levels(order), lambda level: ThresholdExit(exit_threshold=level), order)],
            order_on,
            certify_on,
            constraint,
        )
        if isinstance(found, NoExit):
            return found
        return SoftmaxPolicy(**dict(found.rule), **dict(found.record))
