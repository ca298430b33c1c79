"""The ladder: every phase that exists, in order; the first rejected one halts it."""

from __future__ import annotations

from flows._flow import phase
from flows.baseline import baseline
from stage1_core.phases.ladder import LadderConfig
from tasks.phase import ReleasedPhase


@phase("ladder")
def ladder(config: LadderConfig) -> ReleasedPhase:
    """Climb the phases. What was accepted stays released.

    Args:
        config: One configuration for each phase.
    """
    return baseline(config.baseline)
