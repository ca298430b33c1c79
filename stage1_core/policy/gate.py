"""The gate policy: exit where the class decision is probably right, by a gate that was calibrated on held-out rows."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from stage1_core.calibration import AnyCalibrator, AnyCalibratorConfig, PlattConfig
from stage1_core.config import FrozenModel
from stage1_core.errors import CalibrationError, PolicyError
from stage1_core.metrics.calibration_error import ece
from stage1_core.metrics.proper_scores import brier
from stage1_core.policy.certify import NotSearched
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.policy.no_exit import NoExit
from stage1_core.policy.path import Path, quantile_levels
from stage1_core.policy.search import CertifiedRecord, require_apart, search
from stage1_core.predictions import Decisions, Float, Integer, Predictions, Scores
from stage1_core.splits import Purpose

Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Rest = Literal["second_stage", "stage_b"]


class GateExit(FrozenModel):
    """The bare exit rule, before and after it is certified: calibrated P(the class decision is right) >= τ."""

    gate_threshold: Annotated[float, Field(ge=0, le=2)]
    """Smallest probability that exits; above 1 nothing does."""
    calibrator_params: AnyCalibrator
    """From the gate logit to the probability."""

    def probability(self, scores: Scores) -> Float:
        """``(n,)`` calibrated P(the class decision is right). Raises `PolicyError` for scores without gate logits."""
        return self.calibrator_params.probability(gate_logits(scores))

    def decide(self, scores: Scores) -> Decisions:
        """Exit the likelier class where the probability is at least the threshold. A tie of the classes is a 1."""
        return Decisions.of(self.probability(scores) >= self.gate_threshold, scores.likelier_class)


class GateMetrics(FrozenModel):
    """What the calibrator was fitted on, and how well it is calibrated on rows that it never saw."""

    fit_rows: Count
    fit_failures: Count
    """Fit rows whose class decision is wrong."""
    rows: Count
    """Certifying rows, those that are counted."""
    failures: Count
    """Of these, rows whose class decision is wrong."""
    ece: Fraction | None
    """Calibration error of the probability on the certifying rows, 10 bins; None without rows."""
    brier: Fraction | None
    """Mean of (probability - right)² on the certifying rows; None without rows."""


class GatePolicy(GateExit, CertifiedRecord):
    """A certified threshold on a calibrated gate. This model is ``gateparams.json``."""

    kind: Literal["gate"] = "gate"
    calibrator_type: str
    """Kind of the calibrator, for readers of the JSON."""
    metrics: GateMetrics
    rest: Rest = "second_stage"
    """Who answers the pictures that do not exit: the second stage, or stage B, the auxiliary output of the same head.
    Stage B's answers are not certified."""

    @property
    def threshold(self) -> float:
        """The certified level in force, a probability."""
        return self.gate_threshold

    def rule_in_words(self) -> str:
        """Which pictures exit."""
        return f"calibrated P(stage A is right) ≥ {self.gate_threshold!r}"

    def at_threshold(self, level_threshold: float) -> GatePolicy:
        """The same policy at another certified level of its sweep. Raises `PolicyError` for a level that is not."""
        return self.model_copy(update={"gate_threshold": level_threshold, **self.record_at(level_threshold)})

    def strictest(self) -> GatePolicy:
        """The same policy at a threshold that nothing reaches: for rehearsing a release."""
        return self.model_copy(update={"gate_threshold": 2.0})

    @model_validator(mode="after")
    def _names_its_calibrator(self) -> Self:
        if self.calibrator_type != self.calibrator_params.kind:
            raise ValueError(
                f"calibrator_type is {self.calibrator_type!r}, the calibrator {self.calibrator_params.kind!r}"
            )
        return self


class GatePolicyConfig(FrozenModel):
    """How the gate is calibrated, on one half of VAL_CALIB, and its threshold searched, on VAL_SELECT and the other."""

    kind: Literal["gate"] = "gate"
    calibrator: AnyCalibratorConfig = PlattConfig()
    """From the gate logit to P(the class decision is right)."""
    grid_size: Annotated[int, Field(ge=2, le=2000)] = 50
    """Number of candidate thresholds, quantiles of that probability on VAL_SELECT; ties merge."""
    rest: Rest = "second_stage"
    """Who answers the pictures that do not exit."""

    certifies_on: ClassVar[Purpose] = Purpose.CERTIFY_POLICY

    def fit(
        self, order_on: Predictions, certify_on: Predictions, constraint: RiskConstraint, *, calibrate_on: Predictions
    ) -> GatePolicy | NoExit:
        """The laxest certified threshold, or `NoExit` with what is missing. Counts the rows that the constraint says.

        The calibrator is fitted on all of ``calibrate_on``, whose rows decide nothing else. A gate that says nothing
        there, or ranks wrong rows above right ones, is no rule to search with: `NoExit`, and the certifying rows are
        not looked at. Raises `SplitUseError` for rows of another purpose and `PolicyError` where two sets share an id,
        the scores lack the outputs that the policy reads, or there is nothing to calibrate or to order on.
        """
        order_on.require(Purpose.SELECT_MODEL)
        certify_on.require(Purpose.CERTIFY_POLICY)
        calibrate_on.require(Purpose.FIT_CALIBRATOR)
        require_apart(calibrate=calibrate_on, order=order_on, certify=certify_on)
        if self.rest == "stage_b":
            for rows in (calibrate_on, order_on, certify_on):
                stage_b_label(rows.scores)
        try:
            calibrator = self.calibrator.fit(gate_logits(calibrate_on.scores), _right(calibrate_on))
        except CalibrationError as problem:
            reason = f"the gate cannot be calibrated on {len(calibrate_on)} {calibrate_on.purpose} rows: {problem}"
            return NoExit(constraint=constraint, sweep_results=(), shortfall=NotSearched(reason=reason))

        def path(order: Predictions) -> Path[GateExit]:
            levels = quantile_levels(calibrator.probability(gate_logits(order.scores)), self.grid_size)
            return Path.of(levels, lambda level: GateExit(gate_threshold=level, calibrator_params=calibrator), order)

        found = search(lambda order: [path(order)], order_on, certify_on, constraint)
        if isinstance(found, NoExit):
            return found
        return GatePolicy(
            **dict(found.rule),
            calibrator_type=calibrator.kind,
            metrics=_gate_metrics(calibrator, calibrate_on, constraint.countable(certify_on)),
            rest=self.rest,
            **dict(found.record),
        )


def gate_logits(scores: Scores) -> Float:
    """``(n,)`` gate logits; empty for no pictures. Raises `PolicyError` where the head has no gate."""
    if len(scores) == 0:
        return np.empty(0)
    if scores.gate_logits is None:
        raise PolicyError(
            f"the scores of {len(scores)} pictures have no gate logits; train a head with gated: true, or use the "
            "softmax policy"
        )
    return scores.gate_logits


def stage_b_label(scores: Scores) -> Integer:
    """``(n,)`` answers of stage B, 0 or 1. Raises `PolicyError` where the head has no auxiliary output."""
    if len(scores) == 0:
        return np.empty(0, dtype=np.int64)
    if scores.aux_likelier_class is None:
        raise PolicyError(
            f"stage B is to answer, but the scores of {len(scores)} pictures have no auxiliary logits; train a head "
            'with gated: true, or set rest: "second_stage"'
        )
    return scores.aux_likelier_class


def _right(rows: Predictions) -> Integer:
    """``(n,)`` 1 where the class decision is right."""
    right: Integer = (rows.scores.likelier_class == rows.labels).astype(np.int64)
    return right


def _gate_metrics(calibrator: AnyCalibrator, fitted_on: Predictions, rows: Predictions) -> GateMetrics:
    right = _right(rows)
    probability = calibrator.probability(gate_logits(rows.scores))
    return GateMetrics(
        fit_rows=len(fitted_on),
        fit_failures=len(fitted_on) - int(_right(fitted_on).sum()),
        rows=len(rows),
        failures=len(rows) - int(right.sum()),
        ece=ece(probability, right),
        brier=brier(probability, right),
    )
