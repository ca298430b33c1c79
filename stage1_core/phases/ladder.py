"""The ladder's configuration: one phase's after the other's."""

from __future__ import annotations

from stage1_core.config import FrozenModel
from stage1_core.phases.baseline import BaselineConfig


class LadderConfig(FrozenModel):
    """What each phase of the ladder is run with."""

    baseline: BaselineConfig
    """Phase 1."""
