"""Temperature scaling: class logits divided by one number, which keeps every ranking and the class decision."""

from __future__ import annotations

from math import exp, log
from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from scipy.optimize import brentq
from scipy.special import softmax

from stage1_core.calibration.preconditions import require_usable_classes
from stage1_core.config import FrozenModel
from stage1_core.errors import CalibrationError
from stage1_core.predictions import Float, Integer

_COLDEST, _HOTTEST = 1e-2, 1e4
"""Temperatures that are searched."""


class TemperatureCalibrator(FrozenModel):
    """P(class) = softmax(logits / temperature)."""

    kind: Literal["temperature"] = "temperature"
    temperature: Annotated[float, Field(gt=0)]
    """Above 1 where the model is too sure of itself."""

    def class_logits(self, logits: Float) -> Float:
        """``(n, k)`` calibrated logits of ``(n, k)`` class logits."""
        calibrated: Float = logits.astype(np.float64) / self.temperature
        return calibrated


class TemperatureConfig(FrozenModel):
    """One parameter, so a few dozen rows are enough; it cannot mend a model that favours a class."""

    kind: Literal["temperature"] = "temperature"

    def fit(self, logits: Float, labels: Integer) -> TemperatureCalibrator:
        """The temperature of least cross-entropy (Guo et al., 2017), from 0.01 to 10 000.

        ``logits`` are ``(n, k)``, ``labels`` ``(n,)`` from 0 to k - 1. The range keeps the temperature finite: on rows
        that the class decision gets all right, colder is always better, and it is 0.01.
        Raises `CalibrationError` where no temperature beats chance, for logits that rank nothing and a class without
        rows, `PolicyError` for logits that are not finite, no rows, and labels out of range.
        """
        require_usable_classes(logits, labels)
        margins = logits.astype(np.float64)
        margins -= margins[np.arange(len(labels)), labels][:, None]

        def steepness(log_temperature: float) -> float:
            """Derivative of the mean cross-entropy by 1 / temperature: it rises with it, so it has one zero at most."""
            return _steepness(margins, exp(-log_temperature))

        at_chance = _steepness(margins, 0.0)
        if at_chance >= 0:
            raise CalibrationError(
                f"the mean logit of the true class is {at_chance:.3g} below that of all classes, so no temperature "
                "beats chance: the model ranks the wrong way, or favours a class that is rare here; Dirichlet "
                "calibration mends the latter"
            )
        if steepness(log(_COLDEST)) <= 0:
            return TemperatureCalibrator(temperature=_COLDEST)
        if steepness(log(_HOTTEST)) >= 0:
            return TemperatureCalibrator(temperature=_HOTTEST)
        return TemperatureCalibrator(temperature=exp(brentq(steepness, log(_COLDEST), log(_HOTTEST), xtol=1e-12)))


def _steepness(margins: Float, inverse_temperature: float) -> float:
    """Mean over rows of the expected margin; ``margins`` ``(n, k)`` are the logits less that of the true class."""
    return float((softmax(inverse_temperature * margins, axis=1) * margins).sum(axis=1).mean())
