"""The softmax policy: exit where the larger class probability reaches a threshold."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field
from scipy.special import expit

from stage1_core import __version__
from stage1_core.config import FrozenModel
from stage1_core.errors import PolicyError
from stage1_core.metrics.risk import fnr_on_exited
from stage1_core.policy.certify import Certificate, SweepLevel, fixed_sequence, ids_digest
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.policy.no_exit import NoExit
from stage1_core.policy.start import likeliest_start
from stage1_core.predictions import Boolean, Decisions, Float, Predictions, Scores
from stage1_core.splits import Purpose, Split

Fraction = Annotated[float, Field(ge=0, le=1)]
Threshold = Annotated[float, Field(ge=0.5, le=1)]


def confidence(scores: Scores) -> Float:
    """``(n,)`` probability of the likelier class, in [0.5, 1]."""
    likelier: Float = expit(np.abs(scores.margin_logits))
    return likelier


class ThresholdExit(FrozenModel):
    """The bare exit rule, before and after it is certified: p₁ >= τ or p₁ <= 1 - τ."""

    exit_threshold: Threshold

    def decide(self, scores: Scores) -> Decisions:
        """Exit the likelier class where its probability is at least the threshold. A tie of the classes is a 1."""
        exits: Boolean = confidence(scores) >= self.exit_threshold
        return Decisions.of(exits, scores.margin_logits >= 0)


class SoftmaxPolicy(ThresholdExit):
    """A certified threshold. This model is ``thresholds.json``."""

    kind: Literal["softmax"] = "softmax"
    fnr_on_exits: Fraction | None
    """Share of exited positives called 0 on the certifying rows; None where none exited."""
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

    def strictest(self) -> SoftmaxPolicy:
        """The same policy at threshold 1, where practically nothing exits: for rehearsing a release."""
        return self.model_copy(update={"exit_threshold": 1.0})


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
        steps = np.linspace(0, 1, self.size + 1)[:-1]
        return np.unique(np.quantile(confidence(order_on.scores), steps, method="inverted_cdf"))[::-1]


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
        shared = set(order_on.scores.ids.tolist()) & set(certify_on.scores.ids.tolist())
        if shared:
            raise PolicyError(f"{len(shared)} rows order and certify, e.g. {min(shared)}; split them apart")
        if len(order_on) == 0:
            raise PolicyError("no row to order the thresholds on; give the rows that the model was selected on")
        order, rows = constraint.countable(order_on), constraint.countable(certify_on)
        candidates = [ThresholdExit(exit_threshold=float(level)) for level in self.grid.levels(order)]
        ordered = [candidate.decide(order.scores) for candidate in candidates]
        start = likeliest_start(ordered, order, rows.labels, constraint)
        result = fixed_sequence(
            [(candidate.exit_threshold, candidate) for candidate in candidates[start:]],
            rows,
            constraint,
            order_rows_digest=ids_digest(order_on),
        )
        if result.certificate is None or result.best is None:
            assert result.shortfall is not None
            return NoExit(constraint=constraint, sweep_results=result.levels, shortfall=result.shortfall)
        level = result.levels[result.best]
        best = candidates[start + result.best]
        return SoftmaxPolicy(
            exit_threshold=best.exit_threshold,
            fnr_on_exits=fnr_on_exited(best.decide(rows.scores), rows.labels).rate,
            coverage=level.exited / level.rows,
            exit_accuracy=1 - level.exit_errors / level.exited if level.exited else None,
            sweep_results=result.levels,
            certificate=result.certificate,
        )
