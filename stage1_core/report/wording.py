"""The words and number formats of the report: one way to say a thing, here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from stage1_core.acceptance import Verdict
from stage1_core.policy import AnyPolicy, ScrcPolicy
from stage1_core.policy.constraint import RiskConstraint

RISK_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "coverage": "coverage",
        "fnr_on_exited": "FNR on exited",
        "exit_error": "exit error",
        "fpr_on_exited": "FPR on exited",
        "missed_by_exit": "missed by exit",
        "rejection": "sent on",
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
        "rejection": "pictures that do not exit",
    }
)
"""What each risk counts, in plain words."""

NUMBER_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "accuracy": "accuracy",
        "majority_accuracy": "majority baseline",
        "balanced_accuracy": "balanced accuracy",
        "mcc": "MCC",
        "auroc": "AUROC",
        "average_precision": "average precision",
        "nll": "NLL (nats)",
        "brier": "Brier",
        "ece": "ECE, 10 bins",
        "classwise_ece": "class-wise ECE",
        "augrc": "AUGRC by confidence",
        "augrc_gate": "AUGRC by gate",
        "aurc": "AURC",
        "e_aurc": "E-AURC",
    }
)
"""Names of the numbers of a model, in the order in which tables show them."""

FRACTIONS = frozenset(
    {"accuracy", "majority_accuracy", "balanced_accuracy", "ece", "classwise_ece", *RISK_NAMES.keys()}
)
"""Numbers that are shown as percent."""

ANSWERS: Mapping[Verdict, str] = MappingProxyType(
    {
        Verdict.PASS: "Yes, this may be released.",
        Verdict.FAIL: "No, this must not be released.",
        Verdict.INSUFFICIENT_EVIDENCE: "Not yet: the evidence does not suffice.",
    }
)
"""The answer to "may this be released?"."""


IDENTIFIERS: Mapping[str, str] = MappingProxyType(
    {name: words for name, words in RISK_NAMES.items() if "_" in name}
    | {"val_test": "VAL_TEST", "selective_evaluation": "selective evaluation"}
)
"""What stored texts call things, and what people do. Names of one plain word are left to mean what they say."""
IDENTIFIER = re.compile(rf"\b({'|'.join(IDENTIFIERS)})\b")
PERCENT_SIGN = re.compile(r"(?<=\d)%")


THRESHOLDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "lambda1": ("λ₁", "threshold λ₁ on P(stage A is right)"),
        "lambda2": ("λ₂", "threshold λ₂ on the calibrated P(likelier class)"),
    }
)
"""Symbols and names of the two thresholds of a policy that has two."""


def threshold_name(policy: AnyPolicy) -> tuple[str, str]:
    """Symbol and name of the threshold in which the certified levels differ."""
    if isinstance(policy, ScrcPolicy):
        return THRESHOLDS[policy.sweeps]
    return "τ", "exit threshold τ, a probability"


def readable(stored: str) -> str:
    """A stored text, such as the name of a check, with people's names for things and percent as everywhere here."""
    return PERCENT_SIGN.sub("\u00a0%", IDENTIFIER.sub(lambda found: IDENTIFIERS[found[0]], stored))


def percent(fraction: float) -> str:
    """A fraction as percent with up to two decimals: 0.02 is "2 %", 0.0213 is "2.13 %".

    Only an exact 0 is shown as 0 % and only an exact 1 as 100 %: an upper bound must not look like certainty.
    """
    if 0 < fraction < 0.0001:
        return "< 0.01 %"
    if 0.9999 < fraction < 1:
        return "> 99.99 %"
    return f"{100 * fraction:.2f}".rstrip("0").rstrip(".") + " %"


def four_decimals(value: float) -> str:
    """A number without unit, such as an area."""
    return f"{value:.4f}"


def signed(difference: float) -> str:
    """A difference of two numbers without unit, always with its sign."""
    sign = "±" if difference == 0 else "+" if difference > 0 else "−"
    return f"{sign}{abs(difference):.4f}"


def points(difference: float, unit: str = " points") -> str:
    """A difference of two fractions in percentage points, always with its sign: 0.031 is "+3.1 points"."""
    sign = "±" if difference == 0 else "+" if difference > 0 else "−"
    size = 100 * abs(difference)
    shown = f"{size:.1g}" if 0 < size < 0.01 else f"{size:.2f}".rstrip("0").rstrip(".")
    return f"{sign}{shown}{unit}"


def seen(events: int, trials: int) -> str:
    """Rate with its count; without trials the rate is undefined, not zero."""
    return f"{percent(events / trials)} ({events:,} of {trials:,})" if trials else "undefined (0 trials)"


def promise(constraint: RiskConstraint) -> str:
    """The constraint in plain words."""
    ceiling = percent(constraint.max_risk)
    if constraint.risk == "exit_error":
        return f"Of the pictures that exit, at most {ceiling} are called wrong."
    return f"Of the roadwork pictures that exit, at most {ceiling} are called “no roadwork”."
