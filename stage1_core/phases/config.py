"""Every phase that can release a bundle."""

from __future__ import annotations

from stage1_core.phases.baseline import BaselineConfig
from stage1_core.phases.gate import GateConfig
from stage1_core.phases.selective_evaluation import SelectiveEvaluationConfig

PhaseConfig = BaselineConfig | SelectiveEvaluationConfig | GateConfig
"""Each has data, backbone, transform, constraint, bootstrap and release, of its own or from the phase it stands on."""
