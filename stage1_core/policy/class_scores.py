"""The class probabilities that a policy goes by: the model's own, or what it calibrates them to."""

from __future__ import annotations

from stage1_core.policy import AnyPolicy, ScrcPolicy
from stage1_core.predictions import Scores


def class_scores(policy: AnyPolicy, scores: Scores) -> Scores:
    """``scores`` with the class logits whose likelier class ``policy`` lets exit: calibrated, where it calibrates them.

    Policies decide from the scores as the model gave them. These are for what is shown beside a decision, so that the
    probability never contradicts the label: an exit as 1 has a P(roadwork) of 1/2 or more, an exit as 0 of 1/2 at most.
    """
    return policy.calibrated(scores) if isinstance(policy, ScrcPolicy) else scores
