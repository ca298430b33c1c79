"""Retraining: climb the ladder on the data there are now, and ask for a decision about the candidate."""

from __future__ import annotations

from flows._flow import flow
from flows.ladder import ladder
from stage1_core.phases.retraining import RetrainConfig
from tasks.data import fingerprint_sources
from tasks.retraining import Retrained, remember_training, request_promotion, require_news


@flow("retrain")
def retrain(config: RetrainConfig) -> Retrained:
    """Train, certify and register a candidate from the data as they are now, and start its promotion.

    Ends at once, as NothingToDo, when data, configuration and code are those of a version that is registered already.

    Args:
        config: The ladder to climb, and when the candidate replaces the champion.
    """
    identity = require_news(config, fingerprint_sources(config.ladder.top.data))
    released = ladder(config.ladder)
    return remember_training(identity, request_promotion(config.promotion, released))
