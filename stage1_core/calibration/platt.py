"""Platt scaling: a sigmoid of the logit, which keeps its ranking and cannot overfit much."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from scipy.optimize import brentq, minimize
from scipy.special import expit, logit

from stage1_core.calibration.preconditions import ANTI_INFORMATIVE, require_usable
from stage1_core.config import FrozenModel
from stage1_core.errors import CalibrationError
from stage1_core.predictions import Boolean, Float, Integer

_SETTLED = 1e-9
"""Largest gradient of the mean loss, for standardised logits, at which the minimum is taken as found."""


class PlattCalibrator(FrozenModel):
    """P(outcome is 1) = expit(slope · logit + offset)."""

    kind: Literal["platt"] = "platt"
    slope: Annotated[float, Field(gt=0)]
    """Above 0, so that a higher logit is never less probable."""
    offset: float
    """In logits."""

    def probability(self, logits: Float) -> Float:
        """``(n,)`` probabilities in [0, 1] of ``(n,)`` logits."""
        probability: Float = expit(self.slope * logits + self.offset)
        return probability


class PlattConfig(FrozenModel):
    """Two parameters, so a few dozen outcomes of each kind are enough."""

    kind: Literal["platt"] = "platt"

    def fit(self, logits: Float, outcome: Integer | Boolean) -> PlattCalibrator:
        """The sigmoid of least cross-entropy to smoothed outcomes (Platt, 1999, as in scikit-learn).

        ``logits`` and ``outcome`` (0 or 1) are ``(n,)``. With N₊ ones and N₋ zeros the targets are (N₊ + 1)/(N₊ + 2)
        and 1/(N₋ + 2), which keeps the parameters finite on separable rows. Where every outcome is 1 nothing says how
        steep the sigmoid is: its slope stays 1, and the offset makes the mean probability (N₊ + 1)/(N₊ + 2).
        Raises `CalibrationError` for outcomes that are all 0, logits that are all equal, and logits that rank the wrong
        way, `PolicyError` for logits that are not finite and no rows.
        """
        require_usable(logits, outcome)
        logits = logits.astype(np.float64)
        ones = int(np.count_nonzero(outcome))
        zeros = len(outcome) - ones
        ceiling = (ones + 1) / (ones + 2)
        if zeros == 0:
            return PlattCalibrator(slope=1.0, offset=_offset_for_mean(logits, ceiling))
        slope, offset = _minimum(logits, np.where(outcome == 1, ceiling, 1 / (zeros + 2)))
        if slope <= 0:
            raise CalibrationError(
                f"{zeros} of {len(outcome)} outcomes are 0 and the fitted slope is {slope:.3g}: {ANTI_INFORMATIVE}"
            )
        return PlattCalibrator(slope=slope, offset=offset)


def _minimum(logits: Float, targets: Float) -> tuple[float, float]:
    """Slope and offset of least mean cross-entropy, which is convex and, with targets inside (0, 1), has a minimum."""
    centre, spread = float(logits.mean()), float(logits.std())
    design = np.stack([(logits - centre) / spread, np.ones_like(logits)])

    def loss(parameters: Float) -> tuple[float, Float]:
        z = parameters @ design
        value = float((np.logaddexp(0, z) - targets * z).mean())
        return value, design @ (expit(z) - targets) / len(z)

    def curvature(parameters: Float) -> Float:
        probability = expit(parameters @ design)
        weighted: Float = (design * (probability * (1 - probability))) @ design.T / len(probability)
        return weighted

    start = np.array([0.0, logit(targets.mean())])
    found = minimize(loss, start, jac=True, hess=curvature, method="trust-exact", options={"gtol": _SETTLED}).x
    slope = float(found[0]) / spread
    return slope, float(found[1]) - slope * centre


def _offset_for_mean(logits: Float, mean: float) -> float:
    """The offset at which the mean probability is ``mean`` with a slope of 1."""
    centre = float(logit(mean))
    lowest, highest = centre - float(logits.max()), centre - float(logits.min())
    return float(brentq(lambda offset: expit(logits + offset).mean() - mean, lowest, highest))
