"""Every phase that can be started, with its configuration and its recipes."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from deployments import recipes
from stage1_core.config import FrozenModel
from stage1_core.phases.baseline import BaselineConfig
from stage1_core.phases.conformal import ConformalConfig
from stage1_core.phases.domain_adaptation import DomainAdaptationConfig
from stage1_core.phases.gate import GateConfig
from stage1_core.phases.ladder import LadderConfig
from stage1_core.phases.selective_evaluation import SelectiveEvaluationConfig
from stage1_core.phases.sharpness import SharpnessConfig

if TYPE_CHECKING:
    from prefect import Flow


@dataclass(frozen=True, slots=True)
class PhaseEntry:
    """One thing that `stage1 run` can run."""

    config: type[FrozenModel]
    recipes: Mapping[str, Callable[[], FrozenModel]]
    entrypoint: str
    """``module:function`` of the flow."""

    def load_flow(self) -> Flow[Any, Any]:
        """Import the flow. It takes a second, so it is done when the flow is wanted."""
        module, function = self.entrypoint.split(":")
        flow: Flow[Any, Any] = getattr(importlib.import_module(module), function)
        return flow


PHASES: Mapping[str, PhaseEntry] = MappingProxyType(
    {
        "baseline": PhaseEntry(BaselineConfig, recipes.BASELINE, "flows.baseline:baseline"),
        "selective_evaluation": PhaseEntry(
            SelectiveEvaluationConfig,
            recipes.SELECTIVE_EVALUATION,
            "flows.selective_evaluation:selective_evaluation",
        ),
        "gate": PhaseEntry(GateConfig, recipes.GATE, "flows.gate:gate"),
        "domain_adaptation": PhaseEntry(
            DomainAdaptationConfig, recipes.DOMAIN_ADAPTATION, "flows.domain_adaptation:domain_adaptation"
        ),
        "sharpness": PhaseEntry(SharpnessConfig, recipes.SHARPNESS, "flows.sharpness:sharpness"),
        "conformal": PhaseEntry(ConformalConfig, recipes.CONFORMAL, "flows.conformal:conformal"),
        "ladder": PhaseEntry(LadderConfig, recipes.LADDER, "flows.ladder:ladder"),
    }
)
