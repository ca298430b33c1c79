"""Isotonic regression: any rising step curve. It follows the rows, so it needs about a thousand of them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator
from scipy.optimize import isotonic_regression

from stage1_core.calibration.preconditions import ANTI_INFORMATIVE, require_usable
from stage1_core.config import FrozenModel
from stage1_core.errors import CalibrationError
from stage1_core.predictions import Boolean, Float, Integer

Probability = Annotated[float, Field(ge=0, le=1)]


class IsotonicCalibrator(FrozenModel):
    """P(outcome is 1), linear between knots and constant beyond the outermost.

    Pieces of it are flat: logits that differ get equal probabilities, and a threshold lets them exit together.
    """

    kind: Literal["isotonic"] = "isotonic"
    logits: Annotated[tuple[float, ...], Field(min_length=1)]
    """Places of the knots, strictly increasing."""
    probabilities: tuple[Probability, ...]
    """One for each knot, never falling."""

    def probability(self, logits: Float) -> Float:
        """``(n,)`` probabilities in [0, 1] of ``(n,)`` logits."""
        probability: Float = np.interp(logits, self.logits, self.probabilities)
        return probability

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if len(self.logits) != len(self.probabilities):
            raise ValueError(
                f"{len(self.logits)} logits for {len(self.probabilities)} probabilities; give one for each"
            )
        if (np.diff(self.logits) <= 0).any() or (np.diff(self.probabilities) < 0).any():
            raise ValueError("knots must have strictly increasing logits and probabilities that never fall")
        return self


class IsotonicConfig(FrozenModel):
    """For a gate whose calibration is not a sigmoid, and about a thousand rows or more: with fewer it fits noise."""

    kind: Literal["isotonic"] = "isotonic"

    def fit(self, logits: Float, outcome: Integer | Boolean) -> IsotonicCalibrator:
        """The rising curve of least squared error; equal logits are one row with the mean of their outcomes.

        ``logits`` and ``outcome`` (0 or 1) are ``(n,)``. Raises `CalibrationError` for outcomes that are all 0 or
        all 1, logits that are all equal, and logits that rank the wrong way, `PolicyError` for logits that are not
        finite and no rows.
        """
        require_usable(logits, outcome)
        if outcome.all():
            raise CalibrationError(
                f"the outcome is 1 in all {len(outcome)} rows, so the curve is flat; use Platt scaling"
            )
        places, row_of, rows = np.unique(logits.astype(np.float64), return_inverse=True, return_counts=True)
        means = np.bincount(row_of, weights=outcome) / rows
        fitted = np.clip(isotonic_regression(means, weights=rows).x, 0.0, 1.0)
        if fitted[0] == fitted[-1]:
            raise CalibrationError(f"the fitted curve is flat at {fitted[0]:.3g}: {ANTI_INFORMATIVE}")
        kept = np.ones(len(places), dtype=np.bool_)
        kept[1:-1] = (fitted[1:-1] != fitted[:-2]) | (fitted[1:-1] != fitted[2:])
        return IsotonicCalibrator(logits=tuple(places[kept].tolist()), probabilities=tuple(fitted[kept].tolist()))
