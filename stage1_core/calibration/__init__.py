"""Calibrators: from logits to what they are worth as probabilities. Fitted ones are frozen values, written as JSON.

Those of one logit give the probability that something is so; those of class logits give class logits again.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from stage1_core.calibration.dirichlet import DirichletCalibrator, DirichletConfig
from stage1_core.calibration.isotonic import IsotonicCalibrator, IsotonicConfig
from stage1_core.calibration.platt import PlattCalibrator, PlattConfig
from stage1_core.calibration.temperature import TemperatureCalibrator, TemperatureConfig

AnyCalibrator = Annotated[PlattCalibrator | IsotonicCalibrator, Field(discriminator="kind")]
"""Every fitted calibrator of one logit; `kind` tells them apart."""

AnyCalibratorConfig = Annotated[PlattConfig | IsotonicConfig, Field(discriminator="kind")]
"""Every way to fit a calibrator of one logit."""

AnyClassCalibrator = Annotated[DirichletCalibrator | TemperatureCalibrator, Field(discriminator="kind")]
"""Every fitted calibrator of class logits; `kind` tells them apart."""

AnyClassCalibratorConfig = Annotated[TemperatureConfig | DirichletConfig, Field(discriminator="kind")]
"""Every way to fit a calibrator of class logits."""

__all__ = [
    "AnyCalibrator",
    "AnyCalibratorConfig",
    "AnyClassCalibrator",
    "AnyClassCalibratorConfig",
    "DirichletCalibrator",
    "DirichletConfig",
    "IsotonicCalibrator",
    "IsotonicConfig",
    "PlattCalibrator",
    "PlattConfig",
    "TemperatureCalibrator",
    "TemperatureConfig",
]
