"""Evaluation of a policy on labelled predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from stage1_core.metrics.bootstrap import BootstrapConfig
from stage1_core.metrics.bootstrap import bootstrap as resample
from stage1_core.metrics.cascade import cascade_quality
from stage1_core.metrics.counting import Counting
from stage1_core.metrics.resampling import exit_statistics, model_statistics
from stage1_core.metrics.subnet_reward import long_run_reward
from stage1_core.metrics.suite import Evaluation, SourceQuality, exit_quality, model_quality, read
from stage1_core.policy.certify import Decides
from stage1_core.predictions import Float, Predictions

DEFAULT_BOOTSTRAP = BootstrapConfig()


class Measured(NamedTuple):
    """An evaluation, and the resampled numbers behind its intervals."""

    evaluation: Evaluation
    draws: Mapping[str, Float]
    """``(resamples,)`` values of each interval's number, NaN where it was undefined."""


def evaluate(
    policy: Decides, rows: Predictions, confidence: float, bootstrap: BootstrapConfig = DEFAULT_BOOTSTRAP
) -> Measured:
    """Every number of ``policy`` on ``rows``; one-sided exact bounds at ``confidence``.

    The bootstrap draws whole groups of all rows, stratified by class. The policy is not fitted again: its decisions
    stay with their rows.
    """
    independent, decisions = Counting.independent(rows), policy.decide(rows.scores)
    sources = []
    for source in sorted(set(rows.sources.tolist())):
        part = rows.take(np.flatnonzero(rows.sources == source))
        exits = exit_quality(part, policy.decide(part.scores), confidence)
        sources.append(SourceQuality(source=source, model=model_quality(part), exits=exits))
    resampled = resample(
        model_statistics(rows) | exit_statistics(rows, decisions),
        strata=rows.labels,
        clusters=rows.groups,
        config=bootstrap,
        generator=bootstrap.generator(),
    )
    evaluation = Evaluation(
        purpose=rows.purpose,
        confidence=confidence,
        model=model_quality(rows),
        exits=exit_quality(rows, decisions, confidence, independent),
        exits_on_all_rows=exit_quality(rows, decisions, confidence),
        sources=tuple(sources),
        bootstrap=bootstrap,
        intervals=dict(resampled.intervals),
        cascade=cascade_quality(rows, decisions, confidence, independent),
        subnet_reward=long_run_reward(read(rows).probability, rows.labels),
    )
    return Measured(evaluation, resampled.draws)
