"""The ladder: every phase up to the highest one that is wanted, in order; the first rejected one halts it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from flows._flow import flow
from flows._standing import FLOWS
from flows.conformal import conformal
from stage1_core.phases.conformal import ConformalConfig
from stage1_core.phases.ladder import LadderConfig
from tasks.phase import ReleasedPhase

PHASES: Mapping[type, Callable[[Any], ReleasedPhase]] = MappingProxyType({**FLOWS, ConformalConfig: conformal})


@flow("ladder")
def ladder(config: LadderConfig) -> ReleasedPhase:
    """Climb to the highest phase. Each runs the one below it first, and what was accepted stays released.

    Args:
        config: The highest phase's configuration, with those of the phases below inside.
    """
    return PHASES[type(config.top)](config.top)
