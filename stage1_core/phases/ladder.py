"""The ladder's configuration: that of its highest phase, which holds those of the phases below."""

from __future__ import annotations

from typing import Annotated

from pydantic import Tag

from stage1_core.config import FrozenModel
from stage1_core.phases.conformal import ConformalConfig
from stage1_core.phases.domain_adaptation import DomainAdaptationConfig
from stage1_core.phases.gate import GateConfig
from stage1_core.phases.sharpness import SharpnessConfig
from stage1_core.phases.told_apart import TOLD_APART


class LadderConfig(FrozenModel):
    """What the ladder is climbed with."""

    top: Annotated[
        Annotated[GateConfig, Tag("gate")]
        | Annotated[DomainAdaptationConfig, Tag("domain_adaptation")]
        | Annotated[SharpnessConfig, Tag("sharpness")]
        | Annotated[ConformalConfig, Tag("conformal")],
        TOLD_APART,
    ]
    """The highest phase. Each phase holds the one that it stands on as ``previous``."""
