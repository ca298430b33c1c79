"""Every phase that can release a bundle."""

from __future__ import annotations

from stage1_core.phases.baseline import BaselineConfig
from stage1_core.phases.conformal import ConformalConfig
from stage1_core.phases.domain_adaptation import DomainAdaptationConfig
from stage1_core.phases.gate import GateConfig
from stage1_core.phases.selective_evaluation import SelectiveEvaluationConfig
from stage1_core.phases.sharpness import SharpnessConfig

RecipeConfig = DomainAdaptationConfig | SharpnessConfig | ConformalConfig
"""Those that train several recipes and choose among them."""

ChallengeConfig = GateConfig | RecipeConfig
"""Those whose release is held against the one that stands: each has a comparison of its own."""

PhaseConfig = BaselineConfig | SelectiveEvaluationConfig | ChallengeConfig
"""Each has data, backbone, transform, constraint, bootstrap and release, of its own or from the phase it stands on."""
