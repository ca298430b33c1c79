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
    if len(logits) == 0:
        raise PolicyError("no row to fit a calibrator on; give rows of the fit half of VAL_CALIB")
    if not np.isfinite(logits).all():
        raise PolicyError(f"{np.count_nonzero(~np.isfinite(logits))} logits are not finite; the model is broken")
    if not np.isin(outcome, (0, 1)).all():
        raise PolicyError(f"outcomes must be 0 or 1, found {sorted(set(outcome.tolist()))[:5]}")
    if not outcome.any():
        raise CalibrationError(f"the outcome is 0 in all {len(outcome)} rows; check the model and its labels")
    if logits.min() == logits.max():
        raise CalibrationError(
            f"all {len(logits)} logits are {logits[0]:g}, so they rank nothing; train a gate, or use the softmax policy"
        )
