"""What a new policy was worth against the one that it would replace: a section of the report, or a page of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from stage1_core.acceptance import AcceptanceReport, Verdict
from stage1_core.policy.comparison import ComparedPolicy, PolicyComparison
from stage1_core.report.checks import acceptance_section
from stage1_core.report.figures.comparison import BETTER, comparison_figure, coverage_gain
from stage1_core.report.markup import Html, element, facts, section, table
from stage1_core.report.page import gallery, page
from stage1_core.report.verdict import banner
from stage1_core.report.wording import FRACTIONS, NUMBER_NAMES, RISK_NAMES, four_decimals, percent, points, seen, signed

NAMES = {**RISK_NAMES, **NUMBER_NAMES}
OUTCOMES: Mapping[Verdict, str] = MappingProxyType(
    {Verdict.PASS: "adopted", Verdict.FAIL: "not adopted", Verdict.INSUFFICIENT_EVIDENCE: "not adopted"}
)
"""What becomes of the challenger: only a proven gain is adopted."""


def comparison_report(title: str, comparison: PolicyComparison, acceptance: AcceptanceReport) -> str:
    """The page of a comparison: whether the challenger is adopted, why, and what both policies did.

    Equal arguments give equal text. Raises `Stage1Error` for a page beyond the size limit.
    """
    verdict = acceptance.verdict
    outcome = OUTCOMES[verdict]
    new, old = comparison.challenger.name, comparison.incumbent.name
    stands = f" and replaces {old}." if verdict is Verdict.PASS else f"; {old} goes on standing as released."
    if comparison.challenger.no_exit_reason is not None:
        stands = f": it lets nothing exit{stands}"
    figures = {"comparison": comparison_figure(comparison)}
    return page(
        f"{new} {outcome}: {title}",
        element("h1", title),
        banner(
            verdict,
            question=f"Is the {new} better than {old}?",
            word=outcome.upper(),
            answer=f"The {new} is {outcome}{stands}",
            about=" ".join([*_no_exits(comparison), f"{coverage_gain(comparison)}.", _where(comparison)]),
        ),
        element("div", acceptance_section(acceptance), _limits(comparison), class_="pair"),
        section("Both policies", *_tables(comparison)),
        section("Figures", gallery(figures)),
        figures=figures,
    )


def comparison_section(comparison: PolicyComparison, acceptance: AcceptanceReport) -> Html:
    """The comparison inside a release report, whose acceptance holds the adoption's checks."""
    new, old = comparison.challenger.name, comparison.incumbent.name
    outcome = OUTCOMES[acceptance.verdict]
    told = " ".join([f"in place of {old}.", *_no_exits(comparison), f"{coverage_gain(comparison)}."])
    found = element("p", element("strong", f"The {new} is {outcome}"), f" {told}")
    return section("Comparison", found, element("p", _where(comparison), class_="muted"), *_tables(comparison))


def _no_exits(comparison: PolicyComparison) -> list[str]:
    """A sentence for each side that sends every picture on."""
    sides = (comparison.incumbent, comparison.challenger)
    return [
        f"No level of the {side.name} could be certified, so every picture goes on."
        for side in sides
        if side.no_exit_reason is not None
    ]


def _where(comparison: PolicyComparison) -> str:
    return (
        f"Both were run on the same {comparison.rows:,} rows ({comparison.groups:,} groups) read for "
        f"{comparison.purpose.value}; VAL_TEST was not used to choose."
    )


def _limits(comparison: PolicyComparison) -> Html:
    items = {
        "One comparison.": f"The intervals hold at {percent(comparison.level)} for one challenger. Trying many and "
        "keeping the best makes a gain appear that is not there.",
        "Rows that selected the models.": "Both models were chosen on these rows, so both may look better here than "
        "on new pictures. Their difference is less affected than their levels.",
        "The promise.": "Each policy has its own certificate on other rows. The comparison decides which is used, not "
        "whether it keeps the promise.",
    }
    listed = [element("li", element("strong", lead), f" {text}") for lead, text in items.items()]
    return section("Limits", element("ul", *listed, class_="limits"))


def _tables(comparison: PolicyComparison) -> tuple[Html, ...]:
    sides = (comparison.incumbent, comparison.challenger)
    rules = facts("When a picture exits", {side.name: _rule(side) for side in sides})
    seen_rows = [[RISK_NAMES[name], *(_counted(side, name) for side in sides)] for name in BETTER]
    seen_rows += [[NUMBER_NAMES[name], *(_number(side, name) for side in sides)] for name in ("accuracy", "augrc")]
    values = table(
        f"All rows, with exact upper bounds (one-sided, {percent(comparison.confidence)}): rows of a group are not "
        "independent, so they describe",
        ["quantity", *(side.name for side in sides)],
        seen_rows,
        class_="numbers",
    )
    changed = []
    for name, interval in comparison.differences.items():
        area = name == "augrc"
        numbers = (interval.value, interval.lower, interval.upper)
        value, *ends = (_undefined_or(signed if area else points, number) for number in numbers)
        std = _undefined_or(four_decimals if area else percent, interval.std)
        shown = (value, std, *ends)
        changed.append([NAMES[name], *shown, interval.method, f"{interval.resamples:,}"])
    differences = table(
        f"{sides[1].name} minus {sides[0].name}, paired, groups resampled whole: {percent(comparison.level)} intervals",
        ["difference", "value", "std", "lower", "upper", "method", "resamples"],
        changed,
        class_="numbers",
    )
    return rules, values, differences


def _rule(side: ComparedPolicy) -> str:
    if side.no_exit_reason is None:
        return side.rule
    return f"never, nothing is certified ({side.no_exit_reason.removeprefix('no exit: ')})"


def _counted(side: ComparedPolicy, name: str) -> str:
    risk = getattr(side.exits, name)
    if not risk.trials and side.no_exit_reason is not None:
        return "undefined (nothing exits)"
    shown = seen(risk.events, risk.trials)
    return f"{shown}, ≤ {percent(risk.upper_bound)}" if risk.trials and name != "coverage" else shown


def _number(side: ComparedPolicy, name: str) -> str:
    value: float | None = getattr(side.model, name)
    if value is None:
        return "undefined"
    return percent(value) if name in FRACTIONS else f"{value:.4f}"


def _undefined_or(show: Callable[[float], str], number: float | None) -> str:
    return "undefined" if number is None else show(number)
