"""What is minimised. A new objective is one module here and its name in the union below."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from stage1_core.training.conformal_risk import ConformalRiskConfig
from stage1_core.training.correctness_gate import CorrectnessGateConfig
from stage1_core.training.cross_entropy import CrossEntropyConfig
from stage1_core.training.selective import SelectiveConfig

ObjectiveConfig = Annotated[
    CrossEntropyConfig | CorrectnessGateConfig | SelectiveConfig | ConformalRiskConfig,
    Field(discriminator="kind"),
]
"""Every objective; `kind` tells them apart."""

__all__ = ["ConformalRiskConfig", "CorrectnessGateConfig", "CrossEntropyConfig", "ObjectiveConfig", "SelectiveConfig"]
