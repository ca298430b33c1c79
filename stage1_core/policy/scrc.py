"""The SCRC policy: exit where a picture is selected and its calibrated class is clear, certified for what exits."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from stage1_core.calibration import (
    AnyClassCalibrator,
    AnyClassCalibratorConfig,
    DirichletConfig,
    TemperatureCalibrator,
    TemperatureConfig,
)
from stage1_core.config import FrozenModel
from stage1_core.errors import CalibrationError, PolicyError
from stage1_core.metrics.calibration_error import ece
from stage1_core.metrics.proper_scores import nll
from stage1_core.policy.certify import NotSearched
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.policy.native_guarantee import FixedSelection, NativeGuarantee, native_guarantee
from stage1_core.policy.no_exit import NoExit
from stage1_core.policy.scrc_exit import NOTHING_SELECTED, ScrcExit
from stage1_core.policy.scrc_paths import GRID, ScrcGrid, scrc_paths
from stage1_core.policy.search import CertifiedRecord, Found, require_apart, search
from stage1_core.predictions import Predictions
from stage1_core.splits import Purpose

Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class ClassCalibration(FrozenModel):
    """What the calibrator of the classes was fitted on, and what it did on rows that it never saw."""

    fit_rows: Count
    rows: Count
    """Certifying rows, those that are counted."""
    nll_before: float | None
    """Mean cross-entropy on the certifying rows, in nats; None without rows."""
    nll_after: float | None
    ece_before: Fraction | None
    """Calibration error of the likelier class on the certifying rows, 10 bins; None without rows."""
    ece_after: Fraction | None


class ScrcPolicy(ScrcExit, CertifiedRecord):
    """A certified pair of thresholds. This model is ``scrcparams.json``."""

    kind: Literal["scrc"] = "scrc"
    scrc_variant: Literal["SCRC-I"] = "SCRC-I"
    """Thresholds from calibration rows alone. SCRC-T needs the whole batch that it decides; see `decide_batch`."""
    bounds: NativeGuarantee
    """What the method itself promises for the lambda1 named there, which VAL_SELECT chose; no reason for a release."""
    calibration: ClassCalibration

    rest: ClassVar[Literal["second_stage"]] = "second_stage"
    """Who answers the pictures that do not exit."""

    def at_threshold(self, level_threshold: float) -> ScrcPolicy:
        """The same policy at another certified level of its sweep. Raises `PolicyError` for a level that is not."""
        return self.model_copy(update={self.sweeps: level_threshold, **self.record_at(level_threshold)})

    def strictest(self) -> ScrcPolicy:
        """The same policy at thresholds that nothing reaches: for rehearsing a release."""
        return self.model_copy(update={"lambda1": NOTHING_SELECTED, "lambda2": 1.0, "positives": None})


class ScrcPolicyConfig(FrozenModel):
    """How classes are calibrated and the pair of thresholds is searched: all on VAL_SELECT, certified on VAL_CALIB.

    Calibrators that are fitted on VAL_SELECT leave both halves of VAL_CALIB to the certificate, which is worth far more
    than a calibrator that never saw the rows which chose the model (docs/certificate.md has the count).
    """

    kind: Literal["scrc"] = "scrc"
    calibrator: AnyClassCalibratorConfig = DirichletConfig()
    """From class logits to calibrated ones. Temperature scaling is tried beside it."""
    grid: ScrcGrid = GRID
    """The candidate pairs."""
    delta_s: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Probability that the bound on the selection rate, which is reported beside the certificate, does not hold."""

    certifies_on: ClassVar[Purpose] = Purpose.CERTIFY_UNCALIBRATED_POLICY

    def fit(self, order_on: Predictions, certify_on: Predictions, constraint: RiskConstraint) -> ScrcPolicy | NoExit:
        """The laxest certified pair, or `NoExit` with what is missing. Counts the rows that the constraint says.

        Calibrators, paths and start are learnt on ``order_on``. Classes that cannot be calibrated there are no rule to
        search with: `NoExit`, and the certifying rows are not looked at. Raises `SplitUseError` for rows of another
        purpose and `PolicyError` where the two sets share an id, the scores lack the outputs that the policy reads,
        there is nothing to order on, or positives shall exit sooner and no guard bounds false alarms.
        """
        order_on.require(Purpose.SELECT_MODEL)
        certify_on.require(Purpose.CERTIFY_POLICY, Purpose.CERTIFY_UNCALIBRATED_POLICY)
        require_apart(order=order_on, certify=certify_on)
        self.grid.require_guard(constraint)
        if len(order_on) == 0:
            raise PolicyError("no row to calibrate and to order on; give the rows that the model was selected on")
        try:
            calibrators = self._calibrators(order_on)
        except CalibrationError as problem:
            reason = f"the classes cannot be calibrated on {len(order_on)} {order_on.purpose} rows: {problem}"
            return NoExit(constraint=constraint, sweep_results=(), shortfall=NotSearched(reason=reason))
        found = search(
            lambda counted: scrc_paths(self.grid, calibrators, order_on, counted, constraint),
            order_on,
            certify_on,
            constraint,
        )
        if isinstance(found, NoExit):
            return found
        rows = constraint.countable(certify_on)
        return ScrcPolicy(
            bounds=_bounds(found, rows, constraint, self.delta_s),
            calibration=_calibration(found.rule, len(order_on), rows),
            **dict(found.rule),
            **dict(found.record),
        )

    def _calibrators(self, rows: Predictions) -> list[AnyClassCalibrator]:
        """The configured one, and temperature scaling, which calls each picture as the model does: where one class is
        rare, better probabilities may call it so seldom that the FNR suffers. What promises more is tested. Where no
        temperature beats chance, the probabilities are the model's own."""
        logits, labels = rows.scores.logits, rows.labels
        fitted = self.calibrator.fit(logits, labels)
        if self.calibrator == TemperatureConfig():
            return [fitted]
        try:
            return [fitted, TemperatureConfig().fit(logits, labels)]
        except CalibrationError:
            return [fitted, TemperatureCalibrator(temperature=1)]


def _bounds(found: Found[ScrcExit], rows: Predictions, constraint: RiskConstraint, delta_s: float) -> NativeGuarantee:
    """For a lambda1 that VAL_SELECT chose, as the guarantee needs it: where it was swept, the first of the sweep."""
    rule = found.rule
    lambda1 = found.record.sweep_results[0].threshold if rule.sweeps == "lambda1" else rule.lambda1
    selection = FixedSelection(lambda1=lambda1)
    scores = rule.selective(rows.scores)
    return native_guarantee(scores, rows.labels, selection, alpha=constraint.max_risk, delta_s=delta_s)


def _calibration(rule: ScrcExit, fit_rows: int, rows: Predictions) -> ClassCalibration:
    before, after = rows.scores, rule.calibrated(rows.scores)
    return ClassCalibration(
        fit_rows=fit_rows,
        rows=len(rows),
        nll_before=nll(before.logits, rows.labels),
        nll_after=nll(after.logits, rows.labels),
        ece_before=ece(before.confidence, before.likelier_class == rows.labels),
        ece_after=ece(after.confidence, after.likelier_class == rows.labels),
    )
