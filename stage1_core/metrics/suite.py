"""The numbers of one evaluation, computed once from predictions and decisions."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field
from scipy.special import expit
from sklearn.metrics import average_precision_score, balanced_accuracy_score, matthews_corrcoef, roc_auc_score

from stage1_core.acceptance import CountedRisk
from stage1_core.config import FrozenModel
from stage1_core.metrics.bootstrap import BootstrapConfig, Interval
from stage1_core.metrics.calibration_error import classwise_ece, ece
from stage1_core.metrics.cascade import CascadeQuality
from stage1_core.metrics.counting import Counting
from stage1_core.metrics.proper_scores import brier, nll
from stage1_core.metrics.risk import (
    ConditionalRisk,
    coverage,
    exit_error,
    fnr_on_exited,
    fpr_on_exited,
    missed_by_exit,
    rejection,
)
from stage1_core.metrics.risk_coverage import augrc, aurc, coverage_at_risk, e_aurc, risk_at_coverage
from stage1_core.predictions import Boolean, Decisions, Float, Integer, Predictions
from stage1_core.splits import Purpose

Fraction = Annotated[float, Field(ge=0, le=1)]
Correlation = Annotated[float, Field(ge=-1, le=1)]

COVERAGES = (0.5, 0.6, 0.7, 0.8, 0.9)
"""Coverages at which selective risk is reported."""
MAX_RISKS = (0.01, 0.02, 0.05, 0.1)
"""Selective risks at which coverage is reported."""


class ModelQuality(FrozenModel):
    """How good the scores are, before any policy. Numbers that need two classes are None where one is missing."""

    rows: Annotated[int, Field(ge=0)]
    positives: Annotated[int, Field(ge=0)]
    majority_accuracy: Fraction | None
    """Accuracy of always naming the commoner class: what a model must beat."""
    accuracy: Fraction | None
    balanced_accuracy: Fraction | None
    mcc: Correlation | None
    """Matthews' correlation; 0 where the model names one class only."""
    auroc: Fraction | None
    average_precision: Fraction | None
    """Of finding roadwork; its value without skill is the share of positives, and it is None without any."""
    nll: Annotated[float, Field(ge=0)] | None
    """Mean negative log-likelihood, natural logarithm."""
    brier: Fraction | None
    """Mean of (p₁ - y)², the binary form."""
    ece: Fraction | None
    """Top-label calibration error in 10 bins, a fraction."""
    classwise_ece: Fraction | None
    """Mean of the calibration errors of both classes in 10 bins, a fraction."""
    aurc: Fraction | None
    """Area under the selective risk coverage curve of the confidence, in [0, 1]; lower is better."""
    e_aurc: Correlation | None
    """AURC above that of the best ranking of as many failures; large tie blocks can bring it below 0."""
    augrc: Fraction | None
    """Area under the generalized risk coverage curve of the confidence, in [0, 0.5]; lower is better."""
    augrc_gate: Fraction | None
    """The same area and the same failures, ranked by the gate logit; None where the model has no gate."""
    risk_at_coverage: dict[str, Fraction | None]
    """Selective risk when the most confident share of rows is kept, whole tie blocks; by that share: "0.5" to "0.9"."""
    coverage_at_risk: dict[str, Fraction | None]
    """Largest share of rows that can be kept at a selective risk, as found on these rows; by that risk: "0.01" to
    "0.1". 0 means that nothing may be kept. Not a promise: that is what a certificate is for."""


class ExitQuality(FrozenModel):
    """What a policy's exits do, counted, each with exact one-sided bounds."""

    coverage: CountedRisk
    fnr_on_exited: CountedRisk
    exit_error: CountedRisk
    fpr_on_exited: CountedRisk
    missed_by_exit: CountedRisk
    rejection: CountedRisk
    """Rows that do not exit: what the second stage must answer."""
    average_set_size: Annotated[float, Field(ge=1, le=2)] | None
    """Mean number of classes that are left: 1 where every row exits, 2 where none does; None without rows."""


class SourceQuality(FrozenModel):
    """Model and exits on the rows of one source."""

    source: str
    model: ModelQuality
    exits: ExitQuality


class TransformQuality(FrozenModel):
    """The model on the same pictures, seen through another transform."""

    transform: str
    model: ModelQuality


class Evaluation(FrozenModel):
    """One evaluation of one model and policy. Counts of exits use independent rows; model numbers use all rows."""

    purpose: Purpose
    confidence: Annotated[float, Field(ge=0.5, lt=1)]
    """Of the one-sided exact bounds."""
    model: ModelQuality
    exits: ExitQuality
    """One row of each group and label, of each group where a rate pools both labels: the bounds hold for these."""
    exits_on_all_rows: ExitQuality
    """Every row. Rows of a group are not independent, so read the bounds as a description."""
    sources: tuple[SourceQuality, ...]
    """By name; all rows of each source."""
    bootstrap: BootstrapConfig
    """Of the intervals."""
    intervals: dict[str, Interval]
    """Numbers of ``model`` and ``exits_on_all_rows`` by name, e.g. "augrc", "risk_at_coverage_0.5", "fnr_on_exited",
    resampled from all rows. They describe; where a decision hangs on a risk, its exact bounds decide."""
    cascade: CascadeQuality | None
    """Policy, then the auxiliary output on what it sends on; independent rows. None without auxiliary logits."""
    subnet_reward: Fraction | None
    """StreetVision reward of the model alone at its true positive and true negative rate, were half of the pictures
    roadwork and the windows long; None where one class is missing."""


class Reading(NamedTuple):
    """What the class logits of ``n`` labelled rows say; every array is ``(n,)``."""

    margin_logits: Float
    probability: Float
    """P(roadwork), in [0, 1]."""
    predicted: Integer
    """The likelier class, 0 or 1."""
    correct: Boolean
    confidence: Float
    """Probability of the likelier class, in [0.5, 1]."""


def read(rows: Predictions) -> Reading:
    """Class, correctness and confidence of every row."""
    margin, predicted = rows.scores.margin_logits, rows.scores.likelier_class
    return Reading(margin, expit(margin), predicted, predicted == rows.labels, rows.scores.confidence)


def model_quality(rows: Predictions) -> ModelQuality:
    """Numbers of the scores alone."""
    n, labels, gate = len(rows), rows.labels, rows.scores.gate_logits
    margin, probability, predicted, correct, confidence = read(rows)
    positives = int(np.count_nonzero(labels == 1))
    both = 0 < positives < n
    return ModelQuality(
        rows=n,
        positives=positives,
        majority_accuracy=max(positives, n - positives) / n if n else None,
        accuracy=float(correct.mean()) if n else None,
        balanced_accuracy=float(balanced_accuracy_score(labels, predicted)) if both else None,
        mcc=float(matthews_corrcoef(labels, predicted)) if both else None,
        auroc=float(roc_auc_score(labels, margin)) if both else None,
        average_precision=float(average_precision_score(labels, margin)) if positives else None,
        nll=nll(rows.scores.logits, labels),
        brier=brier(probability, labels),
        ece=ece(confidence, correct),
        classwise_ece=classwise_ece(probability, labels),
        aurc=aurc(confidence, ~correct),
        e_aurc=e_aurc(confidence, ~correct),
        augrc=augrc(confidence, ~correct),
        augrc_gate=None if gate is None else augrc(gate, ~correct),
        risk_at_coverage={f"{share:g}": risk_at_coverage(confidence, ~correct, share) for share in COVERAGES},
        coverage_at_risk={f"{ceiling:g}": coverage_at_risk(confidence, ~correct, ceiling) for ceiling in MAX_RISKS},
    )


def exit_quality(
    rows: Predictions, decisions: Decisions, confidence: float, counting: Counting | None = None
) -> ExitQuality:
    """Counts of the decisions on ``rows``, on all of them where no ``counting`` says on which."""
    counting = counting or Counting.every_row(rows)

    def count(risk: ConditionalRisk) -> CountedRisk:
        return counting.count(risk, decisions, rows.labels, confidence)

    return ExitQuality(
        coverage=count(coverage),
        fnr_on_exited=count(fnr_on_exited),
        exit_error=count(exit_error),
        fpr_on_exited=count(fpr_on_exited),
        missed_by_exit=count(missed_by_exit),
        rejection=count(rejection),
        average_set_size=float(decisions.take(counting.of_both).prediction_set.sum(axis=1).mean())
        if len(rows)
        else None,
    )
