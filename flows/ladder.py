"""The ladder: every phase up to the highest one that is wanted, in order; the first rejected one halts it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from flows._flow import flow
from flows.domain_adaptation import domain_adaptation
from flows.gate import gate
from flows.sharpness import sharpness
from stage1_core.phases.domain_adaptation import DomainAdaptationConfig
from stage1_core.phases.gate import GateConfig
from stage1_core.phases.ladder import LadderConfig
from stage1_core.phases.sharpness import SharpnessConfig
from tasks.phase import ReleasedPhase

PHASES: Mapping[type, Callable[[Any], ReleasedPhase]] = MappingProxyType(
    {GateConfig: gate, DomainAdaptationConfig: domain_adaptation, SharpnessConfig: sharpness}
)


@flow("ladder")
def ladder(config: LadderConfig) -> ReleasedPhase:
    """Climb to the highest phase. Each runs the one below it first, and what was accepted stays released.

    Args:
        config: The highest phase's configuration, with those of the phases below inside.
    """
    return PHASES[type(config.top)](config.top)
