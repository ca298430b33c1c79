"""An independent model on the same features: what the head is compared with."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegressionCV
from sklearn.preprocessing import StandardScaler

from stage1_core.training.rows import FeatureRows

STRENGTHS = (0.0003, 0.003, 0.03)
"""Inverse regularisation strengths that are tried."""
FOLDS = 3


def reference_accuracy(fit_rows: FeatureRows, select_rows: FeatureRows) -> float:
    """Accuracy on the SELECT_MODEL rows of a logistic regression on the FIT_WEIGHTS rows, as a fraction.

    Standardised features, L2 penalty, its strength by cross-validation on the FIT_WEIGHTS rows. scikit-learn's solver
    and objective share no code with the head's training, so a bug there shows as a gap.
    """
    scaler = StandardScaler().fit(fit_rows.features.numpy())
    fit_on, select_on = (scaler.transform(rows.features.numpy()) for rows in (fit_rows, select_rows))
    model = LogisticRegressionCV(
        Cs=STRENGTHS,
        l1_ratios=(0.0,),
        cv=FOLDS,
        scoring="neg_log_loss",
        max_iter=500,
        use_legacy_attributes=False,
    ).fit(fit_on, fit_rows.labels)
    return float(np.mean(model.predict(select_on) == select_rows.labels))
