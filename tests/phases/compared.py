"""Comparisons of two policies whose numbers a test may choose."""

from __future__ import annotations

from stage1_core.acceptance import CountedRisk
from stage1_core.metrics.bootstrap import Interval
from stage1_core.metrics.suite import ExitQuality, model_quality
from stage1_core.policy.comparison import ComparedPolicy, PolicyComparison
from stage1_core.policy.evaluation import evaluate
from stage1_core.policy.softmax import ThresholdExit
from stage1_core.splits import Purpose
from tests.toys import predictions_of

ROWS = predictions_of([-2.0, 2.0, 1.0, -0.2], [0, 1, 1, 0], purpose=Purpose.SELECT_MODEL)


def interval(lower: float | None) -> Interval:
    defined = lower is not None
    return Interval(
        value=lower + 0.01 if defined else None,
        mean=0.0 if defined else None,
        std=0.1 if defined else None,
        lower=lower,
        upper=lower + 0.02 if defined else None,
        method="percentile",
        resamples=400 if defined else 0,
    )


def exits(false_alarms: int, trials: int) -> ExitQuality:
    found = evaluate(ThresholdExit(exit_threshold=0.5), ROWS, 0.9).evaluation.exits
    upper = 1.0
    counted = CountedRisk(events=false_alarms, trials=trials, lower_bound=0, upper_bound=upper)
    return found.model_copy(update={"fpr_on_exited": counted})


def comparison(
    *, coverage: float | None = 0.05, accuracy: float | None = 0.0, new=(1, 100), old=(2, 100)
) -> PolicyComparison:
    sides = {
        name: ComparedPolicy(
            name=name, rule="a rule", no_exit_reason=None, model=model_quality(ROWS), exits=exits(*counts)
        )
        for name, counts in (("softmax", old), ("gate", new))
    }
    return PolicyComparison(
        purpose=Purpose.SELECT_MODEL,
        rows=400,
        groups=300,
        level=0.9,
        confidence=0.9,
        incumbent=sides["softmax"],
        challenger=sides["gate"],
        differences={"coverage": interval(coverage), "accuracy": interval(accuracy)},
    )
