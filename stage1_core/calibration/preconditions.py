"""What every calibrator asks of the rows it is fitted on."""

from __future__ import annotations

import numpy as np

from stage1_core.errors import CalibrationError, PolicyError
from stage1_core.predictions import Boolean, Float, Integer

ANTI_INFORMATIVE = (
    "the logits do not rank right above wrong: the higher they are, the less often the outcome is 1. A gate that was "
    "fitted on the rows its head was fitted on does that; fit it on held-out answers, or use the softmax policy"
)


def require_usable(logits: Float, outcome: Integer | Boolean) -> None:
    """Raise `PolicyError` unless ``(n,)`` finite logits come with ``(n,)`` outcomes of 0 or 1 and there are rows.

    Raises `CalibrationError` where these say nothing: outcomes that are all 0, or logits that are all equal.
    """
    if logits.shape != outcome.shape or logits.ndim != 1:
        raise PolicyError(f"logits of shape {logits.shape} for outcomes of shape {outcome.shape}; give (n,) of both")
    _require_finite_rows(logits)
    if not np.isin(outcome, (0, 1)).all():
        raise PolicyError(f"outcomes must be 0 or 1, found {sorted(set(outcome.tolist()))[:5]}")
    if not outcome.any():
        raise CalibrationError(f"the outcome is 0 in all {len(outcome)} rows; check the model and its labels")
    if logits.min() == logits.max():
        raise CalibrationError(
            f"all {len(logits)} logits are {logits[0]:g}, so they rank nothing; train a gate, or use the softmax policy"
        )


def require_usable_classes(logits: Float, labels: Integer) -> None:
    """Raise `PolicyError` unless ``(n, k)`` finite logits, k at least 2, come with ``(n,)`` labels below k, n above 0.

    Raises `CalibrationError` where these say nothing: a class that no row has, or rows of logits that are all alike.
    """
    if logits.ndim != 2 or logits.shape[1] < 2 or labels.shape != logits.shape[:1]:
        raise PolicyError(
            f"class logits of shape {logits.shape} for labels of shape {labels.shape}; give (n, k), k above 1, and (n,)"
        )
    _require_finite_rows(logits)
    classes = logits.shape[1]
    if not np.isin(labels, range(classes)).all():
        raise PolicyError(f"labels must be from 0 to {classes - 1}, found {sorted(set(labels.tolist()))[:5]}")
    absent = sorted(set(range(classes)) - set(labels.tolist()))
    if absent:
        raise CalibrationError(f"none of the {len(labels)} rows is of class {absent[0]}; give rows of every class")
    margins = logits - logits[:, :1]
    if (margins == margins[0]).all():
        raise CalibrationError(
            f"the margins between class logits are the same in all {len(logits)} rows, so they rank nothing; train the "
            "model first"
        )


def _require_finite_rows(logits: Float) -> None:
    if len(logits) == 0:
        raise PolicyError("no row to fit a calibrator on; give rows of the fit half of VAL_CALIB")
    if not np.isfinite(logits).all():
        raise PolicyError(f"{np.count_nonzero(~np.isfinite(logits))} logits are not finite; the model is broken")
