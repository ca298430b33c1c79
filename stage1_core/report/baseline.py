"""The figures of a baseline release, in the order in which a reader needs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from stage1_core.policy import AnyPolicy
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.predictions import Predictions
from stage1_core.report.figures.calibration import reliability
from stage1_core.report.figures.ranking import risk_coverage
from stage1_core.report.figures.scores import confidence_histogram
from stage1_core.report.figures.sweep import certificate_sweep
from stage1_core.report.figures.training import EpochRow, training_curves


def baseline_figures(
    policy: AnyPolicy, constraint: RiskConstraint, final: Predictions, epochs: Sequence[EpochRow]
) -> Mapping[str, Figure]:
    """Figures by name: the certificate's sweep, then VAL_TEST, then training."""
    return {
        "1-certificate": certificate_sweep(policy, constraint),
        "2-scores": confidence_histogram(final, policy),
        "3-risk-coverage": risk_coverage(final, policy),
        "4-reliability": reliability(final),
        "5-training": training_curves(epochs),
    }
