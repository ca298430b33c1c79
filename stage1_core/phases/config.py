"""Every phase that can release a bundle."""

from __future__ import annotations

from stage1_core.phases.baseline import BaselineConfig
from stage1_core.phases.domain_adaptation import DomainAdaptationConfig
from stage1_core.phases.gate import GateConfig
from stage1_core.phases.selective_evaluation import SelectiveEvaluationConfig
from stage1_core.phases.sharpness import SharpnessConfig

PhaseConfig = BaselineConfig | SelectiveEvaluationConfig | GateConfig | DomainAdaptationConfig | SharpnessConfig
"""Each has data, backbone, transform, constraint, bootstrap and release, of its own or from the phase it stands on."""

ChallengeConfig = GateConfig | DomainAdaptationConfig | SharpnessConfig
"""Those whose release must be better than the one that stands: each has a comparison of its own."""
