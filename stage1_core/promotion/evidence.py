"""What is known when somebody decides about a promotion, and the decision itself, tied to what was shown."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from stage1_core.acceptance import AcceptanceReport
from stage1_core.config import FrozenModel
from stage1_core.errors import PromotionRefused
from stage1_core.promotion.config import ModelName, VersionNumber

_CODE_LENGTH = 12

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]


class RegisteredBundle(FrozenModel):
    """A version in the registry and the bundle behind it."""

    version: VersionNumber
    content_digest: Digest
    """Of the bundle's manifest, as verified after the download."""

    def in_words(self) -> str:
        """Version and the beginning of the digest, for people."""
        return f"version {self.version} ({self.content_digest[:_CODE_LENGTH]}…)"


class PromotionEvidence(FrozenModel):
    """Everything that a person must have seen before saying yes. The digest of it is what they say yes to."""

    model: ModelName
    candidate: RegisteredBundle
    champion: RegisteredBundle | None
    """None for a first promotion."""
    acceptance: AcceptanceReport
    """Of the candidate's release."""
    not_worse: AcceptanceReport | None
    """The candidate against the champion, both scored on the same rows; None where there is no champion."""
    certificate: str
    """What the candidate promises, in words."""
    ledger_digest: Digest
    """Of the split whose VAL_TEST rows both were scored on."""
    test_openings: Count
    """How often VAL_TEST was opened, this time included."""
    certification_looks: Count
    """How often a policy was certified on VAL_CALIB."""

    @model_validator(mode="after")
    def _is_compared_with_the_champion(self) -> Self:
        if (self.champion is None) is not (self.not_worse is None):
            raise ValueError("a candidate is compared with the champion exactly where there is one")
        return self

    @property
    def reports(self) -> tuple[AcceptanceReport, ...]:
        """What must pass; first what nobody has seen before."""
        return (self.acceptance,) if self.not_worse is None else (self.not_worse, self.acceptance)

    @property
    def passed(self) -> bool:
        """Whether the candidate may be promoted, by the numbers."""
        return all(report.passed for report in self.reports)

    @property
    def refusal(self) -> str | None:
        """What did not pass, with its numbers; None where everything did."""
        missed = [report.summary() for report in self.reports if not report.passed]
        return "; ".join(missed) or None

    @property
    def code(self) -> str:
        """What a person types to say which evidence they have read: 12 hex digits."""
        return self.digest()[:_CODE_LENGTH]

    def table(self) -> list[dict[str, str]]:
        """One row for each check: report, name, verdict, evidence, demand."""
        return [{"report": report.phase} | row for report in self.reports for row in report.table()]

    def markdown(self) -> str:
        """The evidence for a dialog: what would happen, what was found, and the code to type."""
        replaced = "as first champion" if self.champion is None else f"in place of {self.champion.in_words()}"
        found = "Everything passed." if self.refusal is None else f"**Not passed:** {self.refusal}."
        rows = "\n".join(f"| {' | '.join(map(_cell, row.values()))} |" for row in self.table())
        return f"""\
**Promote {self.model} {self.candidate.in_words()}** {replaced}?

{found}

- Promise: {self.certificate}
- Openings of VAL_TEST: {self.test_openings}; certification looks: {self.certification_looks}; \
ledger `{self.ledger_digest[:_CODE_LENGTH]}`
- Code of this evidence: `{self.code}`

| report | check | verdict | evidence | demand |
|---|---|---|---|---|
{rows}
"""


class Approval(FrozenModel):
    """An answer to the evidence."""

    decision: Literal["approve", "refuse"]
    approver: str
    """Who answers, a name that others can find."""
    reason: str
    """Why, in words; kept with the version."""
    code: str
    """The code of the evidence, 12 hex digits: it says which evidence the answer is about."""

    @staticmethod
    def automatic(evidence: PromotionEvidence) -> Approval:
        """The answer where nobody is asked: yes to what passed, which `require_approved` checks."""
        return Approval(decision="approve", approver="policy", reason="approved by configuration", code=evidence.code)


def require_passed(evidence: PromotionEvidence) -> None:
    """Raise `PromotionRefused` unless everything that was asked of the candidate was shown."""
    if evidence.refusal is not None:
        raise _refused(evidence, f"not promoted: {evidence.refusal}; the champion stays")


def require_approved(evidence: PromotionEvidence, approval: Approval) -> None:
    """Raise `PromotionRefused` unless the evidence passed and ``approval`` is a yes to exactly this evidence.

    An approval cannot make up for a check that did not pass, and must say who gives it and why.
    """
    require_passed(evidence)
    if approval.decision == "refuse":
        who, why = approval.approver.strip() or "somebody", approval.reason.strip() or "no reason given"
        raise _refused(evidence, f"refused by {who}: {why}; the champion stays")
    for name, given in (("approver", approval.approver), ("reason", approval.reason)):
        if not given.strip():
            raise _refused(
                evidence, f"the answer gives no {name}, so nobody could be asked later; answer again with it"
            )
    if approval.code.strip().lower() != evidence.code:
        raise _refused(
            evidence,
            f"the evidence has changed since it was shown: its code is {evidence.code}, the answer is about "
            f"{approval.code.strip() or 'none'}; read it again and answer with its code",
        )


def _refused(evidence: PromotionEvidence, why: str) -> PromotionRefused:
    message = f"{evidence.model} {evidence.candidate.in_words()}: {why}"
    return PromotionRefused(message, evidence.model_dump(mode="json"))


def _cell(text: str) -> str:
    """``text`` inside a markdown table: a bar or a line end would begin another cell or row."""
    return " ".join(text.replace("|", "\\|").split())
