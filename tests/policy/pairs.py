"""SCRC policies whose both thresholds decide something, whichever path a search would prefer."""

from __future__ import annotations

from collections.abc import Sequence

from scipy.special import expit

from stage1_core.metrics.risk import fnr_on_exited
from stage1_core.policy import ScrcPolicy, ScrcPolicyConfig
from stage1_core.policy.certify import fixed_sequence, ids_digest
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.policy.native_guarantee import FixedSelection, native_guarantee
from stage1_core.policy.scrc_exit import ScrcExit, SoonerExit
from stage1_core.policy.selective_conformal import SelectiveScores
from stage1_core.predictions import Predictions

LEVELS = (0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55)


def pair_policy(
    order_on: Predictions,
    certify_on: Predictions,
    constraint: RiskConstraint,
    *,
    lambda1: float,
    positives: SoonerExit | None = None,
    levels: Sequence[float] = LEVELS,
) -> ScrcPolicy:
    """The laxest certified lambda2 for a fixed ``lambda1``, with the calibrators that a search would use."""
    fitted = ScrcPolicyConfig().fit(order_on, certify_on, constraint)
    assert isinstance(fitted, ScrcPolicy)
    bare = ScrcExit(
        lambda1=lambda1,
        lambda2=0.5,
        positives=positives,
        sweeps="lambda2",
        selector=fitted.selector,
        class_calibrator=fitted.class_calibrator,
    )
    rows = constraint.countable(certify_on)
    candidates = [(level, bare.model_copy(update={"lambda2": level})) for level in levels]
    found = fixed_sequence(candidates, rows, constraint, order_rows_digest=ids_digest(order_on))
    assert found.best is not None
    _, rule = candidates[found.best]
    read = SelectiveScores(rule.read(rows.scores).selection, expit(rule.calibrated(rows.scores).margin_logits))
    return ScrcPolicy(
        **dict(rule),
        bounds=native_guarantee(
            read, rows.labels, FixedSelection(lambda1=lambda1), alpha=constraint.max_risk, delta_s=0.05
        ),
        calibration=fitted.calibration,
        fnr_on_exits=fnr_on_exited(rule.decide(rows.scores), rows.labels).rate,
        coverage=found.levels[found.best].coverage,
        exit_accuracy=found.levels[found.best].exit_accuracy,
        sweep_results=found.levels,
        certificate=found.certificate,
    )
