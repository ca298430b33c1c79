"""The words and number formats of the report: one way to say a thing, here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from stage1_core.acceptance import Verdict

RISK_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "coverage": "coverage",
        "fnr_on_exited": "FNR on exited",
        "exit_error": "exit error",
        "fpr_on_exited": "FPR on exited",
        "missed_by_exit": "missed by exit",
    }
)
"""Names of the counted risks, as table and axis labels."""

RISK_SENTENCES: Mapping[str, str] = MappingProxyType(
    {
        "coverage": "pictures that exit",
        "fnr_on_exited": "roadwork pictures that exit and are called “no roadwork”",
        "exit_error": "exiting pictures that are called wrong",
        "fpr_on_exited": "pictures without roadwork that exit and are called “roadwork”",
        "missed_by_exit": "roadwork pictures that exit as “no roadwork”, of all roadwork pictures",
    }
)
"""What each risk counts, in plain words."""

ANSWERS: Mapping[Verdict, str] = MappingProxyType(
    {
        Verdict.PASS: "Yes, this may be released.",
        Verdict.FAIL: "No, this must not be released.",
        Verdict.INSUFFICIENT_EVIDENCE: "Not yet: the evidence does not suffice.",
    }
)
"""The answer to "may this be released?"."""


def percent(fraction: float) -> str:
    """A fraction as percent with up to two decimals: 0.02 is "2 %", 0.0213 is "2.13 %".

    Only an exact 0 is shown as 0 % and only an exact 1 as 100 %: an upper bound must not look like certainty.
    """
    if 0 < fraction < 0.0001:
        return "< 0.01 %"
    if 0.9999 < fraction < 1:
        return "> 99.99 %"
    return f"{100 * fraction:.2f}".rstrip("0").rstrip(".") + " %"
