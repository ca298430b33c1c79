"""The phases that another may stand on: which flow makes the release of which configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from flows.domain_adaptation import domain_adaptation
from flows.gate import gate
from flows.sharpness import sharpness
from stage1_core.phases.domain_adaptation import DomainAdaptationConfig
from stage1_core.phases.gate import GateConfig
from stage1_core.phases.sharpness import SharpnessConfig
from tasks.phase import ReleasedPhase

FLOWS: Mapping[type, Callable[[Any], ReleasedPhase]] = MappingProxyType(
    {GateConfig: gate, DomainAdaptationConfig: domain_adaptation, SharpnessConfig: sharpness}
)


def released(config: GateConfig | DomainAdaptationConfig | SharpnessConfig) -> ReleasedPhase:
    """Run the phase of ``config``: what it released, or left standing."""
    return FLOWS[type(config)](config)
