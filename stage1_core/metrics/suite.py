"""The numbers of one evaluation, computed once from predictions and decisions."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field
from scipy.special import expit
from sklearn.metrics import balanced_accuracy_score, matthews_corrcoef, roc_auc_score

from stage1_core.acceptance import CountedRisk
from stage1_core.config import FrozenModel
from stage1_core.metrics.calibration_error import ece
from stage1_core.metrics.proper_scores import brier, nll
from stage1_core.metrics.risk import (
    ConditionalRisk,
    coverage,
    exit_error,
    fnr_on_exited,
    fpr_on_exited,
    missed_by_exit,
)
from stage1_core.metrics.risk_coverage import augrc
from stage1_core.predictions import Decisions, Predictions
from stage1_core.splits import Purpose

Fraction = Annotated[float, Field(ge=0, le=1)]


class ModelQuality(FrozenModel):
    """How good the scores are, before any policy. Numbers that need two classes are None where one is missing."""

    rows: int
    positives: int
    majority_accuracy: Fraction | None
    """Accuracy of always naming the commoner class: what a model must beat."""
    accuracy: Fraction | None
    balanced_accuracy: Fraction | None
    mcc: Annotated[float, Field(ge=-1, le=1)] | None
    auroc: Fraction | None
    nll: float | None
    """Mean negative log-likelihood, natural logarithm."""
    brier: Fraction | None
    """Mean of (p₁ - y)², the binary form."""
    ece: Fraction | None
    """Top-label calibration error in 10 bins, a fraction."""
    augrc: Fraction | None
    """Area under the generalized risk coverage curve of the confidence, in [0, 0.5]."""


class ExitQuality(FrozenModel):
    """What a policy's exits do, counted, each with exact one-sided bounds."""

    coverage: CountedRisk
    fnr_on_exited: CountedRisk
    exit_error: CountedRisk
    fpr_on_exited: CountedRisk
    missed_by_exit: CountedRisk


class SourceQuality(FrozenModel):
    """Model and exits on the rows of one source."""

    source: str
    model: ModelQuality
    exits: ExitQuality


class Evaluation(FrozenModel):
    """One evaluation of one model and policy. Counts of exits use independent rows; model numbers use all rows."""

    purpose: Purpose
    confidence: Annotated[float, Field(ge=0.5, lt=1)]
    """Of the one-sided exact bounds."""
    model: ModelQuality
    exits: ExitQuality
    """One row for each group and label: the bounds hold for these."""
    exits_on_all_rows: ExitQuality
    """Every row. Rows of a group are not independent, so read the bounds as a description."""
    sources: tuple[SourceQuality, ...]
    """By name; all rows of each source."""


def model_quality(rows: Predictions) -> ModelQuality:
    """Numbers of the scores alone."""
    if len(rows) == 0:
        names = set(ModelQuality.model_fields) - {"rows", "positives"}
        return ModelQuality(rows=0, positives=0, **dict.fromkeys(names))
    margin = rows.scores.margin_logits
    probability = expit(margin)
    predicted = (margin >= 0).astype(np.int64)
    correct = predicted == rows.labels
    likelier = expit(np.abs(margin))
    positives = int(np.count_nonzero(rows.labels == 1))
    both = 0 < positives < len(rows)
    return ModelQuality(
        rows=len(rows),
        positives=positives,
        majority_accuracy=max(positives, len(rows) - positives) / len(rows),
        accuracy=float(correct.mean()),
        balanced_accuracy=float(balanced_accuracy_score(rows.labels, predicted)) if both else None,
        mcc=float(matthews_corrcoef(rows.labels, predicted)) if both else None,
        auroc=float(roc_auc_score(rows.labels, margin)) if both else None,
        nll=nll(rows.scores.logits, rows.labels),
        brier=brier(probability, rows.labels),
        ece=ece(likelier, correct),
        augrc=augrc(likelier, ~correct),
    )


def exit_quality(rows: Predictions, decisions: Decisions, confidence: float) -> ExitQuality:
    """Counts of the decisions on ``rows``."""

    def count(risk: ConditionalRisk) -> CountedRisk:
        found = risk(decisions, rows.labels)
        return CountedRisk(
            events=found.events,
            trials=found.trials,
            lower_bound=found.lower_bound(confidence),
            upper_bound=found.upper_bound(confidence),
        )

    return ExitQuality(
        coverage=count(coverage),
        fnr_on_exited=count(fnr_on_exited),
        exit_error=count(exit_error),
        fpr_on_exited=count(fpr_on_exited),
        missed_by_exit=count(missed_by_exit),
    )
