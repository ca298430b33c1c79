"""The ladder: every phase that exists, in order; the first rejected one halts it."""

from __future__ import annotations

from flows._flow import flow
from flows.gate import gate
from stage1_core.phases.ladder import LadderConfig
from tasks.phase import ReleasedPhase


@flow("ladder")
def ladder(config: LadderConfig) -> ReleasedPhase:
    """Climb to the highest phase. Each runs the one below it first, and what was accepted stays released.

    Args:
        config: The highest phase's configuration, with those of the phases below inside.
    """
    return gate(config.top)
