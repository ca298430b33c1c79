"""An independent model on the same features: what the head is compared with."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from stage1_core.training.rows import FeatureRows

STRENGTHS = (0.001, 0.01, 0.1, 1.0)
"""Inverse regularisation strengths that are tried."""


def reference_accuracy(fit_rows: FeatureRows, select_rows: FeatureRows) -> float:
    """Best accuracy on the SELECT_MODEL rows of a logistic regression on the FIT_WEIGHTS rows, as a fraction.

    Standardised features, L2 penalty, the best of `STRENGTHS`: scikit-learn's solver and objective share no code with
    the head's training, so a bug there shows as a gap.
    """
    scaler = StandardScaler().fit(fit_rows.features.numpy())
    fit_on, select_on = (scaler.transform(rows.features.numpy()) for rows in (fit_rows, select_rows))
    models = (LogisticRegression(C=strength, max_iter=2000).fit(fit_on, fit_rows.labels) for strength in STRENGTHS)
    return max(float(np.mean(model.predict(select_on) == select_rows.labels)) for model in models)
