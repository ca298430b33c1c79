"""SCRC's bare exit rule: a picture exits where it is selected and its calibrated class is clear."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import Field
from scipy.special import expit

from stage1_core.calibration import AnyClassCalibrator
from stage1_core.config import FrozenModel
from stage1_core.policy.selection import Selector
from stage1_core.policy.selective_conformal import SelectiveScores
from stage1_core.predictions import Boolean, Decisions, Float, Integer, Scores

NOTHING_SELECTED = 2.0
"""A lambda1 that no probability reaches."""

Lambda1 = Annotated[float, Field(ge=0, le=NOTHING_SELECTED)]
Lambda2 = Annotated[float, Field(ge=0.5, le=1)]


@dataclass(frozen=True, slots=True, eq=False)
class ScrcReading:
    """What calibrators make of the scores of ``n`` pictures."""

    selection: Float
    """``(n,)`` P(the class decision is right)."""
    confidence: Float
    """``(n,)`` calibrated probability of the likelier class."""
    label: Integer
    """``(n,)`` that class, 0 or 1."""

    def reaches(self, lambda1: float, lambda2: float) -> Boolean:
        """``(n,)`` which pictures reach both thresholds."""
        reached: Boolean = (self.selection >= lambda1) & (self.confidence >= lambda2)
        return reached


class SoonerExit(FrozenModel):
    """A laxer pair of thresholds for pictures that are called 1: never a miss, but perhaps a false alarm."""

    lambda1: Lambda1
    lambda2: Lambda2


class ScrcExit(FrozenModel):
    """Exit where the selection score is at least lambda1 and the calibrated confidence at least lambda2."""

    lambda1: Lambda1
    """Smallest selection score, P(the class decision is right), that exits; above 1 nothing does."""
    lambda2: Lambda2
    """Smallest calibrated probability of the likelier class that exits; at 0.5 all do."""
    positives: SoonerExit | None = None
    """Where pictures that are called 1 exit already; None where both classes have the same thresholds."""
    sweeps: Literal["lambda1", "lambda2"]
    """Which of the two the certified levels differ in; the other one and `positives` stand still."""
    selector: Selector
    class_calibrator: AnyClassCalibrator

    @property
    def threshold(self) -> float:
        """The level in force of the threshold that is swept, a probability."""
        return self.lambda1 if self.sweeps == "lambda1" else self.lambda2

    @property
    def exits_sooner(self) -> bool:
        """Whether a picture that is called 1 may exit where none that is called 0 does; at lax levels none is left."""
        sooner = self.positives
        return sooner is not None and (sooner.lambda1 < self.lambda1 or sooner.lambda2 < self.lambda2)

    def calibrated(self, scores: Scores) -> Scores:
        """The same scores with calibrated class logits, whose likelier class is the one that exits."""
        return replace(scores, logits=self.class_calibrator.class_logits(scores.logits))

    def read(self, scores: Scores) -> ScrcReading:
        """What both thresholds are held against. Raises `PolicyError` for scores without a signal that it reads."""
        calibrated = self.calibrated(scores)
        selection = self.selector.probability(scores, calibrated)
        return ScrcReading(selection, calibrated.confidence, calibrated.likelier_class)

    def selective(self, scores: Scores) -> SelectiveScores:
        """What the method's own promises are made of: selection score and calibrated P(roadwork)."""
        calibrated = self.calibrated(scores)
        return SelectiveScores(self.selector.probability(scores, calibrated), expit(calibrated.margin_logits))

    def decide(self, scores: Scores) -> Decisions:
        """{likelier class} where both thresholds are reached, {0, 1} elsewhere. A tie of the classes is a 1."""
        return self.decide_read(self.read(scores))

    def decide_read(self, reading: ScrcReading) -> Decisions:
        """The same, of what a rule with the same calibrators has read."""
        exits = reading.reaches(self.lambda1, self.lambda2)
        if self.positives is not None:
            sooner = reading.reaches(self.positives.lambda1, self.positives.lambda2)
            exits = exits | (sooner & (reading.label == 1))
        return Decisions.of(exits, reading.label)

    def rule_in_words(self) -> str:
        """Which pictures exit."""
        rule = f"P(stage A is right) ≥ {self.lambda1!r} and calibrated P(likelier class) ≥ {self.lambda2!r}"
        if self.positives is None or not self.exits_sooner:
            return rule
        sooner = f"P(stage A is right) ≥ {self.positives.lambda1!r} and P ≥ {self.positives.lambda2!r}"
        return f"{rule}; called roadwork already where {sooner}"
