"""What a gate is worth before it is calibrated: whether it ranks, and whether it has collapsed."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from scipy.special import expit
from scipy.stats import mannwhitneyu
from sklearn.metrics import roc_auc_score

from stage1_core.config import FrozenModel
from stage1_core.errors import Stage1Error
from stage1_core.predictions import Boolean, Float, Integer, Scores

LEAST_AUROC = 0.55
"""Below it a gate says next to nothing about which rows are wrong, and its level is looked at. A gate that ranks has
not collapsed, however high or low it stands: calibration moves the level and keeps the ranking."""
LEAST_STD = 1e-3
"""Of the gate's probability. Below it no threshold parts the rows: the gate is a number, as before training."""
ALWAYS_OPEN = 0.99
"""A mean above it, among rows that are wrong here and there, lets these through too."""
ALWAYS_SHUT = 0.05
"""A mean below it lets next to nothing through."""
SIGNIFICANCE = 0.05
"""Of the one-sided test against a gate that ranks the wrong way round: few failures rank badly by accident."""

Fraction = Annotated[float, Field(ge=0, le=1)]
Collapse = Literal["anti-informative", "constant", "always open", "always shut"]


class GateQuality(FrozenModel):
    """How a gate speaks of the rows that are called right and of those that are called wrong."""

    rows: int
    failures: int
    """Rows whose class is called wrong."""
    mean_probability: Fraction | None
    """Mean of the gate's sigmoid, uncalibrated; None without rows."""
    std_probability: float | None
    """Its standard deviation over the rows."""
    auroc: Fraction | None
    """P(the gate stands higher for a right row than for a wrong one), ties half; None without right or wrong rows."""
    collapse: Collapse | None = None
    """In what way the gate fails to part right rows from wrong ones; None where it parts them, or may."""


def gate_quality(scores: Scores, labels: Integer) -> GateQuality:
    """Numbers of the gate on ``n`` scores with ``(n,)`` ``labels``. Raises `Stage1Error` for scores without a gate.

    "Right" is what the class logits name. Collapsed is a gate that ranks wrong rows above right ones, by a one-sided
    Mann-Whitney test; or one whose AUROC is below `LEAST_AUROC` or undefined, and that is constant, always open
    although rows are wrong, or always shut.
    """
    gate = scores.gate_logits
    if gate is None:
        raise Stage1Error("the scores have no gate logits; make them with a head whose config has gated = true")
    correct = scores.likelier_class == labels
    if len(gate) == 0:
        return GateQuality(rows=0, failures=0, mean_probability=None, std_probability=None, auroc=None)
    failures = int(np.count_nonzero(~correct))
    probability = expit(gate)
    mean, std = float(probability.mean()), float(probability.std())
    auroc = float(roc_auc_score(correct, gate)) if 0 < failures < len(gate) else None
    ranks = auroc is not None and auroc >= LEAST_AUROC
    return GateQuality(
        rows=len(gate),
        failures=failures,
        mean_probability=mean,
        std_probability=std,
        auroc=auroc,
        collapse=None if ranks else _collapse(gate, correct, mean, std),
    )


def _collapse(gate: Float, correct: Boolean, mean: float, std: float) -> Collapse | None:
    """What is wrong with a gate that does not rank."""
    if _ranks_wrong_way_round(gate, correct):
        return "anti-informative"
    if std < LEAST_STD:
        return "constant"
    if mean > ALWAYS_OPEN and not correct.all():
        return "always open"
    return "always shut" if mean < ALWAYS_SHUT else None


def _ranks_wrong_way_round(gate: Float, correct: Boolean) -> bool:
    right, wrong = gate[correct], gate[~correct]
    if len(right) == 0 or len(wrong) == 0 or np.ptp(gate) == 0:
        return False
    return bool(mannwhitneyu(right, wrong, alternative="less").pvalue <= SIGNIFICANCE)
