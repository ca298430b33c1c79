"""Evidence with known verdicts, and comparisons whose intervals end where a test wants them to."""

from __future__ import annotations

from stage1_core.acceptance import AcceptanceReport, CountedRisk, Direction, FactCheck, ValueCheck
from stage1_core.metrics.bootstrap import Interval
from stage1_core.metrics.suite import exit_quality, model_quality
from stage1_core.policy.comparison import ComparedPolicy, PolicyComparison
from stage1_core.policy.softmax import ThresholdExit
from stage1_core.promotion.evidence import Approval, PromotionEvidence, RegisteredBundle
from stage1_core.splits import Purpose
from tests.toys import predictions_of

ROWS = predictions_of([-2.0, 2.0, 1.0, -0.2], [0, 1, 1, 0], purpose=Purpose.FINAL_EVALUATION)
SOUND = {"coverage": (-0.01, 0.03), "accuracy": (-0.004, 0.004), "augrc": (-0.002, 0.002), "fnr_on_exited": (0, 0.005)}
"""Ends of intervals, all inside the margins that are configured by default."""

Ends = tuple[float, float] | None


def interval(ends: Ends) -> Interval:
    lower, upper = ends or (None, None)
    middle = None if lower is None else (lower + upper) / 2
    return Interval(
        value=middle,
        mean=middle,
        std=None if middle is None else 0.1,
        lower=lower,
        upper=upper,
        method="bca" if ends else "percentile",
        resamples=400 if ends else 0,
    )


def compared(
    *, rows: int = 1000, groups: int = 1000, exiting: int = 400, level: float = 0.9, **ends: Ends
) -> PolicyComparison:
    """A champion and a candidate of which ``exiting`` roadwork pictures exit; ``ends`` change those of `SOUND`."""
    counted = CountedRisk(events=0, trials=exiting, lower_bound=0, upper_bound=1)
    exits = exit_quality(ROWS, ThresholdExit(exit_threshold=0.5).decide(ROWS.scores), 0.9)
    sides = [
        ComparedPolicy(
            name=name,
            rule="a rule",
            no_exit_reason=None,
            model=model_quality(ROWS),
            exits=exits.model_copy(update={"fnr_on_exited": counted}),
        )
        for name in ("champion", "candidate")
    ]
    return PolicyComparison(
        purpose=Purpose.FINAL_EVALUATION,
        rows=rows,
        groups=groups,
        level=level,
        confidence=0.9,
        incumbent=sides[0],
        challenger=sides[1],
        differences={name: interval(found) for name, found in (SOUND | ends).items()},
    )


def report(phase: str, *, accuracy: float | None = 0.97) -> AcceptanceReport:
    """Passes from an accuracy of 0.95 on."""
    checks = (
        FactCheck(name="the bundle loads", holds=True, evidence="30 files | all as sealed"),
        ValueCheck(name="accuracy", value=accuracy, bound=0.95, direction=Direction.AT_LEAST, trials=400),
    )
    return AcceptanceReport.of(phase, checks)


def bundle(version: str) -> RegisteredBundle:
    return RegisteredBundle(version=version, content_digest=f"{int(version):064x}")


def evidence(**changes: object) -> PromotionEvidence:
    """A candidate, version 7, that passed everything against champion 5."""
    parts = {
        "model": "stage1-roadwork",
        "candidate": bundle("7"),
        "champion": bundle("5"),
        "acceptance": report("gate"),
        "not_worse": report("candidate not worse than champion"),
        "certificate": "Certified at 90% confidence: 3 of 411.",
        "ledger_digest": "1" * 64,
        "test_openings": 2,
        "certification_looks": 3,
    }
    return PromotionEvidence(**(parts | changes))


def approval(of: PromotionEvidence, **changes: str) -> Approval:
    parts = {"decision": "approve", "approver": "Kim", "reason": "numbers look right", "code": of.code}
    return Approval(**(parts | changes))
