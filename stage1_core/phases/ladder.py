"""The ladder's configuration: that of its highest phase, which holds those of the phases below."""

from __future__ import annotations

from stage1_core.config import FrozenModel
from stage1_core.phases.domain_adaptation import DomainAdaptationConfig
from stage1_core.phases.gate import GateConfig
from stage1_core.phases.sharpness import SharpnessConfig


class LadderConfig(FrozenModel):
    """What the ladder is climbed with."""

    top: GateConfig | DomainAdaptationConfig | SharpnessConfig
    """The highest phase. Each phase holds the one that it stands on as ``previous``."""
