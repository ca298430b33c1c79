"""Phase 4: training on the backbone, adopted only where it is worth what it costs."""

from __future__ import annotations

from flows._challenge import challenge
from flows._conclusion import conclude
from flows._flow import flow
from flows.gate import gate
from stage1_core.phases.domain_adaptation import DomainAdaptationConfig
from tasks.adaptation import (
    check_adaptation,
    fingerprint_unlabeled,
    merge_adapter,
    pretrain_backbone,
    starts,
    train_arm,
)
from tasks.arms import chosen_of, judge_recipes, publish_judgement, require_another_chosen, write_judgement
from tasks.challenge import check_challenger
from tasks.features import extract_features
from tasks.phase import ReleasedPhase
from tasks.publishing import open_run, publish_training, require_accepted
from tasks.release import rehearse_release


@flow("domain_adaptation")
def domain_adaptation(config: DomainAdaptationConfig) -> ReleasedPhase:
    """Pretrain without labels, train every arm with every seed, choose, and release the choice only if it is better.

    Args:
        config: Everything that determines the decision; `previous` is the release that an adapted backbone must beat.
    """
    previous = gate(config.previous)
    run = open_run("domain_adaptation", config)
    ledger = previous.made.ledger
    fingerprint = fingerprint_unlabeled(config.pretraining.unlabeled, ledger)
    pretrained = pretrain_backbone(config.pretraining, config.backbone, config.transform, ledger, fingerprint)
    arms = [
        train_arm(arm, config.shared, start, config.transform, ledger)
        for start in starts(config.backbone, pretrained)
        for arm in config.arms
    ]
    trained = check_adaptation(config.acceptance, pretrained, arms)
    publish_training(run, trained)
    require_accepted(trained)
    judged = judge_recipes(config.choice, config.constraint, config.reference, [arm.recipe for arm in arms])
    publish_judgement(run, judged, write_judgement(config.release.title, judged))
    require_another_chosen(run, judged, previous)
    chosen = chosen_of(arms, judged)
    features = extract_features(merge_adapter(chosen), config.transform, ledger)
    challenged = challenge(run, config, chosen.recipe.name, previous, features, chosen.recipe.head)
    rehearsal = rehearse_release(config, challenged.made)
    acceptance = check_challenger("domain_adaptation", config, challenged, [trained], judged, rehearsal)
    return conclude(run, config, challenged.made, acceptance)
