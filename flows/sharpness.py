"""Phase 5: F-SAM against AdamW; "not adopted" is an answer."""

from __future__ import annotations

from flows._challenge import challenge
from flows._conclusion import conclude
from flows._flow import flow
from flows.domain_adaptation import domain_adaptation
from stage1_core.phases.sharpness import ADAMW, SharpnessConfig
from tasks.arms import chosen_of, judge_recipes, publish_judgement, require_another_chosen, write_judgement
from tasks.challenge import check_challenger
from tasks.phase import ReleasedPhase
from tasks.publishing import open_run, publish_training, require_accepted
from tasks.release import rehearse_release
from tasks.sharpness import check_stability, train_with


@flow("sharpness")
def sharpness(config: SharpnessConfig) -> ReleasedPhase:
    """Train the same head with both optimizers and every seed, and release F-SAM's only if it is better.

    Args:
        config: Everything that determines the decision; `previous` is the release that the head must beat.
    """
    previous = domain_adaptation(config.previous)
    run = open_run("sharpness", config)
    ledger, features = previous.made.ledger, previous.made.features
    optimized = [
        train_with(name, config.head, training, config.seeds, ledger, features)
        for name, training in config.trainings.items()
    ]
    trained = check_stability(optimized)
    publish_training(run, trained)
    require_accepted(trained)
    judged = judge_recipes(config.choice, config.constraint, ADAMW, [one.recipe for one in optimized])
    publish_judgement(run, judged, write_judgement(config.release.title, judged))
    require_another_chosen(run, judged, previous)
    chosen = chosen_of(optimized, judged).recipe
    challenged = challenge(run, config, chosen.name, previous, features, chosen.head)
    rehearsal = rehearse_release(config, challenged.made)
    acceptance = check_challenger("sharpness", config, challenged, trained, judged, rehearsal)
    return conclude(run, config, challenged.made, acceptance)
