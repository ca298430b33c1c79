"""The cascade of stage A and stage B: who answers how much, and how well."""

from __future__ import annotations

import numpy as np

from stage1_core.acceptance import CountedRisk
from stage1_core.config import FrozenModel
from stage1_core.metrics.counting import Counting
from stage1_core.metrics.risk import ConditionalRisk, coverage, exit_error, fnr_on_exited, fpr_on_exited
from stage1_core.predictions import Decisions, Predictions


class StageQuality(FrozenModel):
    """The answers of one stage, counted, each with exact one-sided bounds."""

    answered: CountedRisk
    """Of all rows of the cascade, those that the stage answers."""
    errors: CountedRisk
    """Of the answered rows, those answered wrong."""
    missed: CountedRisk
    """Of the answered positives, those called 0."""
    false_alarms: CountedRisk
    """Of the answered negatives, those called 1."""


class CascadeQuality(FrozenModel):
    """What exits is answered by stage A, the rest by stage B, the auxiliary output of the same head."""

    stage_a: StageQuality
    stage_b: StageQuality
    together: StageQuality
    """Every row has an answer."""


def cascade_quality(
    rows: Predictions, decisions: Decisions, confidence: float, counting: Counting | None = None
) -> CascadeQuality | None:
    """Counts of both stages on ``rows``, with bounds at ``confidence``; None where the head has no auxiliary output.

    All rows are counted where no ``counting`` says which.
    """
    stage_b = rows.scores.aux_likelier_class
    if stage_b is None:
        return None
    exited = decisions.exited
    answers = np.where(exited, decisions.label, stage_b)
    everything = np.ones(len(rows), dtype=np.bool_)
    counting = counting or Counting.every_row(rows)

    def of_stage(answers: Decisions) -> StageQuality:
        """A stage's answers are its exits: what it does not answer goes on."""

        def count(risk: ConditionalRisk) -> CountedRisk:
            return counting.count(risk, answers, rows.labels, confidence)

        return StageQuality(
            answered=count(coverage),
            errors=count(exit_error),
            missed=count(fnr_on_exited),
            false_alarms=count(fpr_on_exited),
        )

    return CascadeQuality(
        stage_a=of_stage(decisions),
        stage_b=of_stage(Decisions.of(~exited, stage_b)),
        together=of_stage(Decisions.of(everything, answers)),
    )
