"""Phase 5: F-SAM against AdamW; "not adopted" is an answer."""

from __future__ import annotations

from flows._challenge import challenge
from flows._conclusion import conclude
from flows._flow import flow
from flows._heads import judge_heads
from flows.domain_adaptation import domain_adaptation
from stage1_core.phases.sharpness import SharpnessConfig
from tasks.arms import chosen_of, require_another_chosen
from tasks.challenge import check_challenger
from tasks.phase import ReleasedPhase
from tasks.publishing import open_run
from tasks.release import rehearse_release


@flow("sharpness")
def sharpness(config: SharpnessConfig) -> ReleasedPhase:
    """Train the same head with both optimizers and every seed, and release F-SAM's only if it is better.

    Args:
        config: Everything that determines the decision; `previous` is the release that the head must beat.
    """
    previous = domain_adaptation(config.previous)
    run = open_run("sharpness", config)
    heads = judge_heads(run, config, previous)
    require_another_chosen(run, heads.judged, previous)
    chosen = chosen_of(heads.trained, heads.judged).recipe
    challenged = challenge(run, config, chosen.name, previous, previous.made.features, chosen.head)
    rehearsal = rehearse_release(config, challenged.made)
    acceptance = check_challenger("sharpness", config, challenged, [heads.stability], heads.judged, rehearsal)
    return conclude(run, config, challenged.made, acceptance)
