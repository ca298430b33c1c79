"""Whether a candidate is not worse than the champion, on rows that both were scored on."""

from __future__ import annotations

from stage1_core.acceptance import AcceptanceReport, Direction, FactCheck, ValueCheck
from stage1_core.errors import SplitUseError
from stage1_core.metrics.intervals import trials_needed
from stage1_core.policy.comparison import PolicyComparison
from stage1_core.promotion.config import NonInferiorityConfig
from stage1_core.splits import Purpose


def not_worse_report(config: NonInferiorityConfig, comparison: PolicyComparison) -> AcceptanceReport:
    """Whether the challenger is not worse than the incumbent: each of four paired differences stays inside its margin.

    A difference counts by the end of its interval that speaks against the challenger. This is an intersection-union
    test (Berger, Technometrics 24, 1982): "not worse" is said only if every check rejects its own "worse by the margin
    or more". A challenger that is worse in some respect must pass the check of that respect, whose probability of error
    is that of one end, (1 - level) / 2. So four checks at once need no correction; they only cost power.

    The bootstrap cannot draw what the rows do not hold: where the sides never differ, its interval has no length. The
    last check therefore asks for so many rows that a loss as large as the margin would hardly have stayed unseen. Near
    that number the bootstrap is still bold about rare events: at a margin of 1 %, an intended 5 % of errors are up to
    12 % on 300 independent rows, and 6 to 7 % on 2,000 (counted, 1,500 draws each).

    Undefined differences and too few rows are insufficient evidence. Raises `SplitUseError` for a comparison on other
    rows than those of the final evaluation.
    """
    if comparison.purpose is not Purpose.FINAL_EVALUATION:
        raise SplitUseError(
            f"a comparison on rows read for {comparison.purpose} cannot decide about a promotion: they chose one of "
            f"the sides or its threshold; compare on {Purpose.FINAL_EVALUATION} rows"
        )
    exiting = comparison.challenger.exits.fnr_on_exited.trials
    checks = (
        _not_less(comparison, "coverage", "coverage", config.max_coverage_loss),
        _not_less(comparison, "accuracy", "accuracy", config.max_accuracy_loss),
        _not_more(comparison, "augrc", "AUGRC", config.max_augrc_gain, trials=comparison.rows),
        _not_more(comparison, "fnr_on_exited", "FNR on exited", config.max_fnr_gain, trials=exiting),
        _enough_to_tell(config, comparison),
    )
    return AcceptanceReport.of(f"{comparison.challenger.name} not worse than {comparison.incumbent.name}", checks)


def _not_less(comparison: PolicyComparison, number: str, words: str, max_loss: float) -> ValueCheck:
    return ValueCheck(
        name=f"difference in {words} (lower end of the {comparison.level:.0%} interval)",
        value=comparison.differences[number].lower,
        bound=-max_loss,
        direction=Direction.AT_LEAST,
        trials=comparison.rows,
    )


def _not_more(comparison: PolicyComparison, number: str, words: str, max_gain: float, *, trials: int) -> ValueCheck:
    return ValueCheck(
        name=f"difference in {words} (upper end of the {comparison.level:.0%} interval)",
        value=comparison.differences[number].upper,
        bound=max_gain,
        direction=Direction.AT_MOST,
        trials=trials,
    )


def _enough_to_tell(config: NonInferiorityConfig, comparison: PolicyComparison) -> FactCheck:
    """Groups, and exiting roadwork pictures as if they were spread over groups like all rows, against what is needed.

    Needed are so many that none among them shows an event that happens at the rate of the margin with probability
    (1 - level) / 2 at most.
    """
    confidence = (1 + comparison.level) / 2
    exiting = comparison.challenger.exits.fnr_on_exited.trials * comparison.groups // max(comparison.rows, 1)
    everywhere = trials_needed(0, min(config.max_coverage_loss, config.max_accuracy_loss), confidence)
    on_exits = trials_needed(0, config.max_fnr_gain, confidence)
    return FactCheck(
        name="enough rows for a loss to show",
        holds=True if comparison.groups >= everywhere and exiting >= on_exits else None,
        evidence=f"{comparison.groups:,} groups, {everywhere:,} needed; about {exiting:,} of them with an exiting "
        f"roadwork picture, {on_exits:,} needed",
    )
