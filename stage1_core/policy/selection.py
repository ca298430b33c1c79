"""SCRC's selection score: how likely the class decision is right, from a signal of the model and its confidence."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from scipy.optimize import minimize
from scipy.special import expit, logit, logsumexp

from stage1_core.config import FrozenModel
from stage1_core.errors import PolicyError
from stage1_core.predictions import Boolean, Float, Scores

Signal = Literal["gate", "energy"]
Slope = Annotated[float, Field(ge=0)]


_ROUNDING = 1e-9
"""Spread of a feature, relative to its size, up to which it is one number with rounding errors."""


class Selector(FrozenModel):
    """P(the class decision is right) = expit(signal_slope · signal + confidence_slope · |margin| + offset).

    No slope is negative, so that a stronger signal or a clearer margin never makes a picture go on.
    """

    signal: Signal
    """Of the model's own outputs: the gate's logit, or the energy of the class logits, log Σ exp, where it has none."""
    signal_slope: Slope
    confidence_slope: Slope
    """Of the absolute calibrated margin, in logits."""
    offset: float
    """In logits."""

    def probability(self, scores: Scores, calibrated: Scores) -> Float:
        """``(n,)`` selection scores in [0, 1]; ``calibrated`` are the same scores with calibrated class logits.

        Raises `PolicyError` for scores without gate logits where the signal is the gate.
        """
        strength = self.signal_slope * signal_of(self.signal, scores) if self.signal_slope else 0.0
        probability: Float = expit(strength + self.confidence_slope * np.abs(calibrated.margin_logits) + self.offset)
        return probability


def signal_of(signal: Signal, scores: Scores) -> Float:
    """``(n,)`` values of the signal, in logits; none for no pictures. `PolicyError` where the scores lack it."""
    if len(scores) == 0:
        return np.empty(0)
    if signal == "energy":
        energy: Float = logsumexp(scores.logits.astype(np.float64, copy=False), axis=1)
        return energy
    if scores.gate_logits is None:
        raise PolicyError(
            f"the scores of {len(scores)} pictures have no gate logits, and the policy selects by them; use a head "
            "with gated: true, or a policy that was fitted without a gate"
        )
    return scores.gate_logits


def fit_selector(
    signal: Signal, scores: Scores, calibrated: Scores, right: Boolean, *, with_confidence: bool
) -> Selector:
    """The selector of least cross-entropy to smoothed outcomes (Platt, 1999), with slopes that are not negative.

    ``right`` is ``(n,)``: whether the calibrated class decision is. Without a wrong decision nothing says what ranks
    them: the score is then the confidence itself, or the signal's rank where ``with_confidence`` is false.
    """
    features = [signal_of(signal, scores)] + [np.abs(calibrated.margin_logits)] * with_confidence
    ones = int(np.count_nonzero(right))
    zeros = len(right) - ones
    if min(ones, zeros) == 0:
        return Selector(
            signal=signal,
            signal_slope=0.0 if with_confidence else 1.0,
            confidence_slope=float(with_confidence),
            offset=0,
        )
    slopes, offset = _logistic(np.stack(features, axis=1), np.where(right, (ones + 1) / (ones + 2), 1 / (zeros + 2)))
    return Selector(
        signal=signal,
        signal_slope=slopes[0],
        confidence_slope=slopes[1] if with_confidence else 0.0,
        offset=offset,
    )


def _logistic(features: Float, targets: Float) -> tuple[list[float], float]:
    """Slopes >= 0 and offset of least mean cross-entropy for ``(n, d)`` features, a convex problem."""
    centre, spread = features.mean(axis=0), features.std(axis=0)
    varies = spread > _ROUNDING * np.maximum(1, np.abs(centre))
    spread = np.where(varies, spread, np.inf)
    design = np.concatenate([(features - centre) / spread, np.ones((len(features), 1))], axis=1)

    def loss(parameters: Float) -> tuple[float, Float]:
        z = design @ parameters
        return float((np.logaddexp(0, z) - targets * z).mean()), design.T @ (expit(z) - targets) / len(z)

    bounds = [(0, None)] * features.shape[1] + [(None, None)]
    start = np.append(np.zeros(features.shape[1]), logit(targets.mean()))
    found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-9}).x
    slopes = found[:-1] / spread
    return slopes.tolist(), float(found[-1] - slopes @ centre)
