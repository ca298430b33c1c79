"""Whether a challenger takes the place of the release that stands."""

from __future__ import annotations

from collections.abc import Sequence

from stage1_core.acceptance import AcceptanceCheck, AcceptanceReport, Direction, FactCheck, ValueCheck
from stage1_core.metrics.suite import Evaluation
from stage1_core.phases.checks import certificate_checks
from stage1_core.policy import AnyPolicy
from stage1_core.policy.arm_comparison import ArmComparison
from stage1_core.policy.comparison import ComparisonConfig, PolicyComparison
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.predictions import Predictions


def adoption_report(config: ComparisonConfig, comparison: PolicyComparison) -> AcceptanceReport:
    """Whether the challenger is adopted: enough coverage at no higher FPR on exited, without losing accuracy."""
    coverage, accuracy = comparison.differences["coverage"], comparison.differences["accuracy"]
    sure = f"lower end of the {comparison.level:.0%} interval"
    old, new = comparison.incumbent, comparison.challenger
    checks = (
        FactCheck(
            name=f"{new.name} is certified",
            holds=new.no_exit_reason is None,
            evidence=new.no_exit_reason or new.rule,
        ),
        ValueCheck(
            name=f"gain in coverage over {old.name} ({sure})",
            value=coverage.lower,
            bound=config.min_coverage_gain,
            direction=Direction.AT_LEAST,
            trials=comparison.rows,
        ),
        _no_more_false_alarms(comparison),
        ValueCheck(
            name=f"difference in accuracy to {old.name} ({sure})",
            value=accuracy.lower,
            bound=-config.max_accuracy_loss,
            direction=Direction.AT_LEAST,
            trials=comparison.rows,
        ),
    )
    return AcceptanceReport.of(f"{new.name} instead of {old.name}", checks)


def challenger_report(
    phase: str,
    constraint: RiskConstraint,
    *,
    min_coverage: float,
    policy: AnyPolicy,
    certify_on: Predictions,
    before: Sequence[AcceptanceReport],
    arms: ArmComparison,
    final: Evaluation,
    rehearsal: Sequence[FactCheck],
) -> AcceptanceReport:
    """The acceptance report of a phase that chose among recipes and found its choice better than what stands.

    ``before`` are the reports that were passed on the way: of the trainings, of the choice, of the adoption.
    """
    checks = (
        *certificate_checks(constraint, policy, certify_on, final, min_coverage=min_coverage),
        *(check for report in before for check in report.checks),
        _memory_check(arms),
        *rehearsal,
    )
    return AcceptanceReport.of(phase, checks)


def _memory_check(arms: ArmComparison) -> FactCheck:
    known = {arm.name: arm.cost.peak_memory_bytes for arm in arms.arms}
    shown = (f"{name} {memory / 2**20:.0f} MiB" for name, memory in known.items() if memory is not None)
    return FactCheck(
        name="the memory of every recipe was measured", holds=None not in known.values(), evidence=", ".join(shown)
    )


def _no_more_false_alarms(comparison: PolicyComparison) -> AcceptanceCheck:
    old, new = comparison.incumbent.exits.fpr_on_exited, comparison.challenger.exits.fpr_on_exited
    name = f"FPR on exited is not above that of {comparison.incumbent.name}"
    if new.rate is None or old.rate is None:
        evidence = f"{new.in_words()} against {old.in_words()}"
        return FactCheck(name=name, holds=True if new.rate is None else None, evidence=evidence)
    return ValueCheck(name=name, value=new.rate, bound=old.rate, direction=Direction.AT_MOST, trials=new.trials)
