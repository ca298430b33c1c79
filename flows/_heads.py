"""How a head is trained by several recipes, and one of them chosen."""

from __future__ import annotations

from stage1_core.phases.conformal import ConformalConfig
from stage1_core.phases.sharpness import SharpnessConfig
from tasks.arms import judge_recipes, publish_judgement, write_judgement
from tasks.heads import JudgedHeads, check_stability, train_with
from tasks.phase import ReleasedPhase
from tasks.publishing import publish_training, require_accepted
from tasks.runs import RunRef


def judge_heads(run: RunRef, config: SharpnessConfig | ConformalConfig, standing: ReleasedPhase) -> JudgedHeads:
    """Train the head by every recipe and with every seed, halt unless all went downhill, and choose a recipe."""
    ledger, features = standing.made.ledger, standing.made.features
    trained = [
        train_with(name, config.head, training, config.seeds, ledger, features)
        for name, training in config.trainings.items()
    ]
    stability = check_stability(trained)
    publish_training(run, stability)
    require_accepted(stability)
    judged = judge_recipes(config.choice, config.constraint, config.reference, [one.recipe for one in trained])
    publish_judgement(run, judged, write_judgement(config.release.title, judged))
    return JudgedHeads(trained=tuple(trained), stability=stability, judged=judged)
