"""The smallest configuration of every phase that another may stand on."""

from __future__ import annotations

from pathlib import Path

from stage1_core.phases.conformal import ConformalConfig
from stage1_core.phases.domain_adaptation import DomainAdaptationConfig
from stage1_core.phases.gate import GateConfig
from stage1_core.phases.selective_evaluation import SelectiveEvaluationConfig
from stage1_core.phases.sharpness import SharpnessConfig
from tests.integration.toys import toy_config

Phase = GateConfig | DomainAdaptationConfig | SharpnessConfig | ConformalConfig


def smallest(phase: str, pictures: Path) -> Phase:
    """By name; a conformal one stands on sharpness."""
    gated = GateConfig(previous=SelectiveEvaluationConfig(previous=toy_config(pictures)))
    adapted = DomainAdaptationConfig(previous=gated)
    sharp = SharpnessConfig(previous=adapted)
    known: dict[str, Phase] = {
        "gate": gated,
        "domain_adaptation": adapted,
        "sharpness": sharp,
        "conformal": ConformalConfig(previous=sharp),
    }
    return known[phase]
