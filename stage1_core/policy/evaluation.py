"""Evaluation of a policy on labelled predictions."""

from __future__ import annotations

import numpy as np

from stage1_core.metrics.suite import Evaluation, SourceQuality, exit_quality, model_quality
from stage1_core.policy.certify import Decides
from stage1_core.predictions import Predictions


def evaluate(policy: Decides, rows: Predictions, confidence: float) -> Evaluation:
    """Every number of ``policy`` on ``rows``; one-sided exact bounds at ``confidence``."""
    independent = rows.independent()
    sources = []
    for source in sorted(set(rows.sources.tolist())):
        part = rows.take(np.flatnonzero(rows.sources == source))
        exits = exit_quality(part, policy.decide(part.scores), confidence)
        sources.append(SourceQuality(source=source, model=model_quality(part), exits=exits))
    return Evaluation(
        purpose=rows.purpose,
        confidence=confidence,
        model=model_quality(rows),
        exits=exit_quality(independent, policy.decide(independent.scores), confidence),
        exits_on_all_rows=exit_quality(rows, policy.decide(rows.scores), confidence),
        sources=tuple(sources),
    )
