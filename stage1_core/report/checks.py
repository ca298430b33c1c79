"""The checks of an acceptance report as a table: what did not pass first, and nothing of it folded away."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from stage1_core.acceptance import AcceptanceCheck, AcceptanceReport, Direction, ValueCheck, Verdict
from stage1_core.report.markup import Html, element, section, table
from stage1_core.report.wording import percent, points, readable

MARKS = {Verdict.PASS: "✓", Verdict.FAIL: "✕", Verdict.INSUFFICIENT_EVIDENCE: "?"}
URGENCY = (Verdict.FAIL, Verdict.INSUFFICIENT_EVIDENCE, Verdict.PASS)
HEADERS = ("check", "verdict", "evidence", "demand")

FAMILIES: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {
        "heads scored again are the logged ones": re.compile(r"^the head kept by "),
        "numbers agree with a second computation": re.compile(r" agrees with "),
        "numbers lie in the range that others leave them": re.compile(
            r" against the (best|worst) ranking | against a quarter of the error rate$| against the Brier score$"
        ),
    }
)
"""Checks that say one thing together, by their names. Those that passed take one row."""
RATES = re.compile(
    r"^(coverage on|val_test does not contradict|accuracy against|exit error on|FPR on exited is not|calibration error)"
)
"""Names of the checks whose value is a fraction."""
DIFFERENCES_OF_RATES = re.compile(r"^(gain in coverage|difference in accuracy)")
"""Names of the checks whose value is the difference of two fractions."""


def acceptance_section(acceptance: AcceptanceReport) -> Html:
    """Every check with its evidence and its demand, those that did not pass first.

    Passed checks of one family are folded into one row, which shows them all when it is opened.
    """
    if not acceptance.checks:
        return section("Why", element("p", "No check was made, so nothing is proven."))
    ranked = sorted(acceptance.checks, key=lambda check: URGENCY.index(check.verdict))
    families = {family: [check for check in ranked if family_of(check) == family] for family in FAMILIES}
    folded = {family: members for family, members in families.items() if len(members) > 1}
    single = [check for check in ranked if family_of(check) not in folded]
    shown = [_table(f"Acceptance of {readable(acceptance.phase)}", single)] if single else []
    return section("Why", *shown, *(_folded(family, members) for family, members in folded.items()))


def family_of(check: AcceptanceCheck) -> str | None:
    """The family that a passed check may be folded into; None for every check that did not pass."""
    if check.verdict is not Verdict.PASS:
        return None
    return next((family for family, pattern in FAMILIES.items() if pattern.search(check.name)), None)


def evidence_and_demand(check: AcceptanceCheck) -> tuple[str, str]:
    """What was seen and asked; fractions as percent, their differences in points, other numbers as they are."""
    show = _unit(check.name)
    if not isinstance(check, ValueCheck) or show is None:
        return readable(check.evidence), readable(check.demand)
    demand = f"{'≤' if check.direction is Direction.AT_MOST else '≥'} {show(check.bound)}"
    if check.value is None:
        return check.evidence, demand
    trials = "" if check.trials is None else f" (n = {check.trials:,})"
    return f"{show(check.value)}{trials}", demand


def chip(verdict: Verdict) -> Html:
    """A small coloured label; the word says it too."""
    short = "INSUFFICIENT" if verdict is Verdict.INSUFFICIENT_EVIDENCE else verdict.value
    return element("span", f"{MARKS[verdict]} {short}", class_=f"chip {verdict.value}", title=verdict.value)


def _table(caption: str, checks: Sequence[AcceptanceCheck]) -> Html:
    rows = [[readable(check.name), chip(check.verdict), *evidence_and_demand(check)] for check in checks]
    return table(caption, HEADERS, rows, class_="checks")


def _folded(family: str, members: Sequence[AcceptanceCheck]) -> Html:
    name = element("strong", f"{len(members)} checks: {family}")
    return element("details", element("summary", name, chip(Verdict.PASS)), _table(family, members), class_="folded")


def _unit(name: str) -> Callable[[float], str] | None:
    if RATES.search(name):
        return percent
    return points if DIFFERENCES_OF_RATES.search(name) else None
