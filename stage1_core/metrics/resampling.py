"""The numbers of an evaluation as functions of row weights, by the names under which they are reported."""

from __future__ import annotations

import numpy as np

from stage1_core.metrics.risk import coverage, exit_error, fnr_on_exited, fpr_on_exited, missed_by_exit
from stage1_core.metrics.statistics import (
    Statistic,
    augrc_of,
    aurc_of,
    auroc_of,
    average_precision_of,
    balanced_accuracy_of,
    brier_of,
    classwise_ece_of,
    coverage_at_risk_of,
    e_aurc_of,
    ece_of,
    mcc_of,
    mean_of,
    nll_of,
    ratio_of,
    risk_at_coverage_of,
)
from stage1_core.metrics.suite import COVERAGES, MAX_RISKS, read
from stage1_core.predictions import Decisions, Predictions


def model_statistics(rows: Predictions) -> dict[str, Statistic]:
    """Every number of `ModelQuality` that resampling within the classes can move; "augrc_gate" where there is a gate.

    Numbers at several levels have the level in their name: "risk_at_coverage_0.5", "coverage_at_risk_0.01".
    """
    labels, gate = rows.labels, rows.scores.gate_logits
    margin, probability, predicted, correct, confidence = read(rows)
    statistics: dict[str, Statistic] = {
        "accuracy": mean_of(correct.astype(np.float64)),
        "balanced_accuracy": balanced_accuracy_of(predicted, labels),
        "mcc": mcc_of(predicted, labels),
        "auroc": auroc_of(margin, labels),
        "average_precision": average_precision_of(margin, labels),
        "nll": nll_of(rows.scores.logits, labels),
        "brier": brier_of(probability, labels),
        "ece": ece_of(confidence, correct),
        "classwise_ece": classwise_ece_of(probability, labels),
        "aurc": aurc_of(confidence, ~correct),
        "e_aurc": e_aurc_of(confidence, ~correct),
        "augrc": augrc_of(confidence, ~correct),
    }
    if gate is not None:
        statistics["augrc_gate"] = augrc_of(gate, ~correct)
    for share in COVERAGES:
        statistics[f"risk_at_coverage_{share:g}"] = risk_at_coverage_of(confidence, ~correct, share)
    for ceiling in MAX_RISKS:
        statistics[f"coverage_at_risk_{ceiling:g}"] = coverage_at_risk_of(confidence, ~correct, ceiling)
    return statistics


def exit_statistics(rows: Predictions, decisions: Decisions) -> dict[str, Statistic]:
    """The numbers of `ExitQuality`; the decisions are fixed, only the rows are drawn again."""
    risks = (coverage, fnr_on_exited, fpr_on_exited, exit_error, missed_by_exit)
    statistics: dict[str, Statistic] = {risk.name: ratio_of(*risk.masks(decisions, rows.labels)) for risk in risks}
    statistics["average_set_size"] = mean_of(decisions.prediction_set.sum(axis=1).astype(np.float64))
    return statistics
