"""What a phase must prove. Three verdicts: a missing number never passes, and too little data is not a failure."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from stage1_core.config import FrozenModel
from stage1_core.errors import Stage1Error

Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class Verdict(StrEnum):
    """The answer of a check."""

    PASS = "PASS"
    FAIL = "FAIL"
    INSUFFICIENT_EVIDENCE = "INSUFFICIENT_EVIDENCE"


class Direction(StrEnum):
    """On which side of its bound a value must lie."""

    AT_MOST = "at_most"
    AT_LEAST = "at_least"


class CountedRisk(FrozenModel):
    """A risk as counted, with its exact one-sided bounds at the check's confidence."""

    events: Count
    trials: Count
    lower_bound: Fraction
    upper_bound: Fraction

    @property
    def rate(self) -> float | None:
        """events / trials as a fraction, None without trials."""
        return self.events / self.trials if self.trials else None

    def in_words(self) -> str:
        """The count with its rate and upper bound, for people."""
        if self.rate is None:
            return "undefined (0 trials)"
        return f"{self.events} of {self.trials} ({self.rate:.2%}), upper bound {self.upper_bound:.2%}"

    @model_validator(mode="after")
    def _bounds_enclose_the_rate(self) -> Self:
        if self.events > self.trials:
            raise ValueError(f"{self.events} events of {self.trials} trials is impossible")
        if self.rate is not None and not self.lower_bound <= self.rate <= self.upper_bound:
            raise ValueError(f"bounds {self.lower_bound} and {self.upper_bound} do not enclose {self.rate}")
        if self.rate is None and (self.lower_bound, self.upper_bound) != (0, 1):
            raise ValueError(f"without trials the bounds are 0 and 1, not {self.lower_bound} and {self.upper_bound}")
        return self


class ValueCheck(FrozenModel):
    """A measured number against a bound. An undefined number is insufficient evidence."""

    kind: Literal["value"] = "value"
    name: str
    value: float | None
    bound: float
    direction: Direction
    trials: Count | None = None
    """Rows behind the value, where it is a mean over rows."""

    @property
    def verdict(self) -> Verdict:
        """PASS when the value lies on the right side of the bound or on it."""
        if self.value is None or not math.isfinite(self.value) or self.trials == 0:
            return Verdict.INSUFFICIENT_EVIDENCE
        held = self.value <= self.bound if self.direction is Direction.AT_MOST else self.value >= self.bound
        return Verdict.PASS if held else Verdict.FAIL

    @property
    def evidence(self) -> str:
        """What was seen, for a table."""
        shown = "undefined" if self.value is None else f"{self.value:.4g}"
        return shown if self.trials is None else f"{shown} (n = {self.trials})"

    @property
    def demand(self) -> str:
        """What was asked, for a table."""
        return f"{'≤' if self.direction is Direction.AT_MOST else '≥'} {self.bound:.4g}"


class RiskCheck(FrozenModel):
    """A risk against its ceiling, decided by exact bounds, with a known-bad policy run through the same rows.

    When the known-bad policy is not rejected, the rows could not have told a bad policy from a good one, and the check
    says so instead of passing.
    """

    kind: Literal["risk"] = "risk"
    name: str
    max_risk: Fraction
    confidence: Fraction
    risk: CountedRisk
    negative_control: CountedRisk
    """The same count for a policy that calls every picture "no roadwork"."""
    trials_needed: Count
    """Trials at which the observed events would be enough, if no further event occurs."""
    no_exit_reason: str | None = None
    """What the search was short of, where the policy lets nothing exit."""

    @property
    def control_rejected(self) -> bool:
        """Whether the known-bad policy was recognised as bad."""
        return self.negative_control.lower_bound > self.max_risk

    @property
    def verdict(self) -> Verdict:
        """PASS if the upper bound keeps the ceiling, FAIL if the lower bound breaks it."""
        if self.risk.lower_bound > self.max_risk:
            return Verdict.FAIL
        if self.risk.trials == 0 or not self.control_rejected or self.risk.upper_bound > self.max_risk:
            return Verdict.INSUFFICIENT_EVIDENCE
        return Verdict.PASS

    @property
    def evidence(self) -> str:
        """What was seen, for a table."""
        if self.no_exit_reason is not None:
            return self.no_exit_reason
        seen = self.risk.in_words()
        if not self.control_rejected:
            return f"{seen}; void: the known-bad policy was not rejected"
        if self.verdict is Verdict.INSUFFICIENT_EVIDENCE:
            return f"{seen}; {self.trials_needed - self.risk.trials} more trials without an event would do"
        return seen

    @property
    def demand(self) -> str:
        """What was asked, for a table."""
        return f"upper bound ≤ {self.max_risk:.2%} at {self.confidence:.0%}"


class FactCheck(FrozenModel):
    """Something that holds or does not; None means that it could not be found out."""

    kind: Literal["fact"] = "fact"
    name: str
    holds: bool | None
    evidence: str

    @property
    def verdict(self) -> Verdict:
        """PASS only where it was seen to hold."""
        if self.holds is None:
            return Verdict.INSUFFICIENT_EVIDENCE
        return Verdict.PASS if self.holds else Verdict.FAIL

    @property
    def demand(self) -> str:
        """What was asked, for a table."""
        return "holds"


AcceptanceCheck = Annotated[ValueCheck | RiskCheck | FactCheck, Field(discriminator="kind")]


class AcceptanceReport(FrozenModel):
    """All checks of one phase. Stored before anything halts."""

    phase: str
    checks: tuple[AcceptanceCheck, ...]
    verdict: Verdict
    """Written down so that readers of the JSON need no code; refused when it is not what the checks say."""

    @staticmethod
    def of(phase: str, checks: tuple[AcceptanceCheck, ...]) -> AcceptanceReport:
        """The report with the verdict that its checks give."""
        return AcceptanceReport(phase=phase, checks=checks, verdict=_joint_verdict(checks))

    @model_validator(mode="after")
    def _verdict_follows_from_checks(self) -> Self:
        expected = _joint_verdict(self.checks)
        if self.verdict is not expected:
            raise ValueError(f"the verdict {self.verdict} is not what the checks say, {expected}")
        return self

    @property
    def passed(self) -> bool:
        """Whether the phase may go on."""
        return self.verdict is Verdict.PASS

    @property
    def certificate(self) -> RiskCheck:
        """The check of the promised risk. Raises `Stage1Error` where there is none."""
        for check in self.checks:
            if isinstance(check, RiskCheck):
                return check
        raise Stage1Error(f"the report of {self.phase} certifies no risk; a release needs one that does")

    def table(self) -> list[dict[str, str]]:
        """One row for each check: name, verdict, evidence, demand."""
        return [
            {"check": c.name, "verdict": c.verdict.value, "evidence": c.evidence, "demand": c.demand}
            for c in self.checks
        ]

    def summary(self) -> str:
        """One line that names what did not pass."""
        missed = [f"{c.name}: {c.verdict} ({c.evidence}, needs {c.demand})" for c in self.checks]
        missed = [line for line, c in zip(missed, self.checks, strict=True) if c.verdict is not Verdict.PASS]
        return f"{self.phase}: {self.verdict}" + (f" — {'; '.join(missed)}" if missed else "")


def _joint_verdict(checks: tuple[AcceptanceCheck, ...]) -> Verdict:
    """FAIL if any fails, PASS if there are checks and all pass, else insufficient evidence."""
    verdicts = {check.verdict for check in checks}
    if Verdict.FAIL in verdicts:
        return Verdict.FAIL
    return Verdict.PASS if verdicts == {Verdict.PASS} else Verdict.INSUFFICIENT_EVIDENCE
