"""The figures of a release, in the order in which a reader needs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from stage1_core.policy import AnyPolicy, GatePolicy, ScrcPolicy
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.policy.evaluation import Measured
from stage1_core.predictions import Predictions
from stage1_core.report.figures.calibration import gate_reliability, reliability, roadwork_reliability
from stage1_core.report.figures.distributions import augrc_distribution, exit_distributions
from stage1_core.report.figures.exit_region import exit_region
from stage1_core.report.figures.gate import gate_histogram
from stage1_core.report.figures.ranking import risk_coverage
from stage1_core.report.figures.scores import confidence_histogram
from stage1_core.report.figures.sweep import certificate_sweep
from stage1_core.report.figures.training import EpochRow, training_curves


def release_figures(
    policy: AnyPolicy,
    constraint: RiskConstraint,
    final: Predictions,
    epochs: Sequence[EpochRow],
    measured: Measured,
    *,
    certified_on: Predictions,
) -> Mapping[str, Figure]:
    """Figures by name, numbered so that files sort: the certificate's sweep, then VAL_TEST, then training.

    ``final`` are the VAL_TEST predictions, ``measured`` their evaluation under ``policy``, ``epochs`` the rows of
    metrics.csv. ``certified_on`` are the predictions that certified; two thresholds are shown on those that counted.
    """
    # Which picture shows the scores depends on what the policy reads: class probabilities, the gate, or both.
    figures = {"certificate": certificate_sweep(policy, constraint)}
    if isinstance(policy, GatePolicy):
        figures["gate"] = gate_histogram(final, policy)
        figures["gate-reliability"] = gate_reliability(final, policy)
    elif isinstance(policy, ScrcPolicy):
        figures["exit-region"] = exit_region(constraint.countable(certified_on), policy)
        figures["roadwork-reliability"] = roadwork_reliability(final, policy)
    else:
        figures["scores"] = confidence_histogram(final, policy)
    figures |= {
        "risk-coverage": risk_coverage(final, policy),
        "exits-resampled": exit_distributions(measured, constraint),
        "AUGRC-resampled": augrc_distribution(measured),
        "reliability": reliability(final),
        "training": training_curves(epochs),
    }
    return {f"{place}-{name}": figure for place, (name, figure) in enumerate(figures.items(), start=1)}
