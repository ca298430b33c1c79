"""How every challenger is held against the release that stands."""

from __future__ import annotations

from stage1_core.bundle.artifact import ArtifactRef
from stage1_core.phases.config import ChallengeConfig
from tasks.comparison import (
    Sides,
    compare_policies,
    judge_comparison,
    match_policy,
    publish_comparison,
    require_better,
    write_comparison,
)
from tasks.phase import Adopted, ReleasedPhase
from tasks.runs import RunRef


def adopt(
    run: RunRef,
    config: ChallengeConfig,
    sides: Sides,
    fitted: ArtifactRef,
    order_on: ArtifactRef,
    standing: ReleasedPhase,
) -> Adopted:
    """Compare ``fitted`` at matched FPR with what stands, and halt with `NotAdopted` unless it is better."""
    policy = match_policy(fitted, order_on, standing.made)
    comparison = compare_policies(config, sides, policy, order_on, standing.made)
    judged = judge_comparison(config.comparison, comparison)
    publish_comparison(run, comparison, judged, write_comparison(config, comparison, judged))
    require_better(run, judged, standing)
    return Adopted(policy=policy, comparison=comparison, report=judged)
