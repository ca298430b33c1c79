"""Moving the aliases of a registered model so that a crash at any point can be finished or taken back.

A registry moves one alias at a time, and a process can die in between. So the whole move is written down first, as an
`Intent`; afterwards the aliases are moved one by one in a fixed order. Every state on the way is different, so whoever
finds the intent later sees from the aliases alone how far it came. The champion is the point of no return: before it
has moved everything is taken back, afterwards the rest is done.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from stage1_core.config import FrozenModel
from stage1_core.errors import PromotionConflict, PromotionRefused
from stage1_core.promotion.config import ModelName, VersionNumber
from stage1_core.promotion.evidence import Approval, Digest, PromotionEvidence, require_approved

Alias = Literal["candidate", "champion", "previous"]


class Aliases(FrozenModel):
    """Which version each alias of a registered model points at; None where it is not set."""

    candidate: VersionNumber | None = None
    champion: VersionNumber | None = None
    previous: VersionNumber | None = None

    def after(self, *steps: AliasStep) -> Aliases:
        """The aliases once ``steps`` were taken."""
        return self.model_copy(update={step.alias: step.version for step in steps})

    def in_words(self) -> str:
        """For messages."""
        return ", ".join(f"{alias} {version or 'not set'}" for alias, version in self)


class AliasStep(FrozenModel):
    """One write to the registry. Taking it again changes nothing."""

    alias: Alias
    expected: VersionNumber | None
    """Where the alias points before; whoever finds it elsewhere (and not at ``version``) must not write."""
    version: VersionNumber | None
    """Where it points afterwards; None removes it."""

    def undone(self) -> AliasStep:
        """The step back."""
        return AliasStep(alias=self.alias, expected=self.version, version=self.expected)


class Intent(FrozenModel):
    """What is about to happen to the aliases of one model. Written before the first step, deleted after the last."""

    action: Literal["promote", "roll_back"]
    model: ModelName
    before: Aliases
    after: Aliases
    evidence_digest: Digest | None
    """Of the evidence that was approved; None for a rollback, which needs none."""
    approval: Approval | None
    """None for a rollback."""
    nonce: Annotated[str, Field(min_length=1)]
    """Different for every intent: tells an own intent from that of another run."""
    recorded_at: str
    """UTC, ISO 8601, whole seconds."""

    @model_validator(mode="after")
    def _moves_the_champion(self) -> Self:
        if self.after.champion in (None, self.before.champion):
            raise ValueError("an intent must move the champion to another version: its move is the point of no return")
        return self

    @staticmethod
    def to_promote(
        evidence: PromotionEvidence, approval: Approval, standing: Aliases, *, nonce: str, at: str
    ) -> Intent:
        """The candidate becomes champion, the champion previous; the alias candidate goes if it names this version.

        Raises `PromotionRefused` where ``approval`` is no yes to this evidence, `PromotionConflict` where another
        champion stands than the candidate was compared with.
        """
        require_approved(evidence, approval)
        compared = None if evidence.champion is None else evidence.champion.version
        if standing.champion != compared:
            raise PromotionConflict(
                f"{evidence.model}: the candidate was compared with champion {compared or 'none'}, but the champion is "
                f"{standing.champion or 'none'} now; promote again, which compares with that one"
            )
        version = evidence.candidate.version
        candidate = None if standing.candidate == version else standing.candidate
        return Intent(
            action="promote",
            model=evidence.model,
            before=standing,
            after=Aliases(candidate=candidate, champion=version, previous=standing.champion),
            evidence_digest=evidence.digest(),
            approval=approval,
            nonce=nonce,
            recorded_at=at,
        )

    @staticmethod
    def to_roll_back(model: str, standing: Aliases, *, replaced: str | None, nonce: str, at: str) -> Intent:
        """The previous champion is put back; previous becomes ``replaced``, what that one had replaced in its time.

        The alias candidate is left alone. Raises `PromotionRefused` where there is nothing to go back to.
        """
        if standing.previous in (None, standing.champion):
            raise PromotionRefused(
                f"{model} has no previous champion to go back to ({standing.in_words()}); promote another version",
                standing.model_dump(mode="json"),
            )
        return Intent(
            action="roll_back",
            model=model,
            before=standing,
            after=Aliases(candidate=standing.candidate, champion=standing.previous, previous=replaced),
            evidence_digest=None,
            approval=None,
            nonce=nonce,
            recorded_at=at,
        )


class Resolution(FrozenModel):
    """What becomes of an intent that was found, and what is left to do for it."""

    outcome: Literal["finish", "revert"]
    steps: tuple[AliasStep, ...]
    """In this order; none where only the intent is left to be deleted."""


_ORDER: dict[str, tuple[Alias, ...]] = {
    # At no time does a rollback go to an older version than the one that was champion last.
    "promote": ("previous", "champion", "candidate"),
    # The bad champion goes first.
    "roll_back": ("champion", "previous", "candidate"),
}


def steps(intent: Intent) -> tuple[AliasStep, ...]:
    """The writes that make ``before`` into ``after``, in order. Aliases that stay are not written."""
    before, after = dict(intent.before), dict(intent.after)
    return tuple(
        AliasStep(alias=alias, expected=before[alias], version=after[alias])
        for alias in _ORDER[intent.action]
        if before[alias] != after[alias]
    )


def resolution(intent: Intent, observed: Aliases) -> Resolution:
    """How to end ``intent`` from where the aliases are: forwards if the champion has moved, else backwards.

    Going either way passes only through states that this function knows, so a crash on the way is resolved likewise,
    and in the same direction. Raises `PromotionConflict` where no interruption of this intent leaves ``observed``.
    """
    planned = steps(intent)
    for taken in range(len(planned) + 1):
        if observed == intent.before.after(*planned[:taken]):
            break
    else:
        raise PromotionConflict(
            f"{intent.model}: the aliases ({observed.in_words()}) are not what an interrupted move from "
            f"({intent.before.in_words()}) to ({intent.after.in_words()}) leaves behind: somebody else moved one; look "
            "which version should be the champion, then abandon the move and promote or roll back"
        )
    if observed.champion == intent.after.champion:
        return Resolution(outcome="finish", steps=planned[taken:])
    return Resolution(outcome="revert", steps=tuple(step.undone() for step in reversed(planned[:taken])))
