"""Calibrators: from a logit to the probability that something is so. Fitted ones are frozen values, written as JSON."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from stage1_core.calibration.isotonic import IsotonicCalibrator, IsotonicConfig
from stage1_core.calibration.platt import PlattCalibrator, PlattConfig

AnyCalibrator = Annotated[PlattCalibrator | IsotonicCalibrator, Field(discriminator="kind")]
"""Every fitted calibrator; `kind` tells them apart."""

AnyCalibratorConfig = Annotated[PlattConfig | IsotonicConfig, Field(discriminator="kind")]
"""Every way to fit a calibrator."""

__all__ = [
    "AnyCalibrator",
    "AnyCalibratorConfig",
    "IsotonicCalibrator",
    "IsotonicConfig",
    "PlattCalibrator",
    "PlattConfig",
]
