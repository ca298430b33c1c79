"""Which versions a promotion or a rollback is about, decided from what the registry says now."""

from __future__ import annotations

from collections.abc import Mapping

from stage1_core.config import FrozenModel
from stage1_core.errors import NothingToDo, PromotionRefused, Stage1Error
from stage1_core.promotion.config import ModelName, PromotionRequest, RollbackRequest
from stage1_core.promotion.evidence import RegisteredBundle
from stage1_core.promotion.intent import Aliases
from tasks.registry_aliases import CANDIDATE
from tasks.registry_versions import VersionRecord

Versions = Mapping[str, VersionRecord]


class Contest(FrozenModel):
    """Who wants to take whose place."""

    model: ModelName
    candidate: RegisteredBundle
    champion: RegisteredBundle | None
    """None for a first promotion."""

    @property
    def title(self) -> str:
        """For the access log and the page."""
        against = "without a champion" if self.champion is None else f"against {self.champion.in_words()}"
        return f"promotion of {self.model} {self.candidate.in_words()} {against}"


def contest_of(request: PromotionRequest, aliases: Aliases, versions: Versions) -> Contest:
    """The versions that ``request`` is about.

    Raises `NothingToDo` where no candidate waits or it is the champion already, `PromotionRefused` where another
    champion stands than was expected, or where ``candidate`` points at a version that was rolled back: such a one is
    promoted only by its number, or where the champion's alias is gone: nothing would be compared.
    """
    model, number = request.model, aliases.candidate if request.candidate == CANDIDATE else request.candidate
    if number is None:
        raise NothingToDo(f"no version of {model} waits as candidate ({aliases.in_words()})", _standing(aliases))
    record = _known(model, number, versions)
    if number == aliases.champion:
        raise NothingToDo(f"{model} version {number} is the champion already", _standing(aliases))
    _require_expected(model, request.expected_champion, aliases)
    if record.was_rolled_back and request.candidate == CANDIDATE:
        raise PromotionRefused(
            f"{model} version {number} was rolled back; to promote it all the same, name it by its number",
            _standing(aliases),
        )
    if aliases.champion is None:
        _require_first(request, aliases, versions)
    champion = None if aliases.champion is None else _known(model, aliases.champion, versions).bundle()
    return Contest(model=model, candidate=record.bundle(), champion=champion)


def previous_of(request: RollbackRequest, aliases: Aliases, versions: Versions) -> RegisteredBundle:
    """The version that a rollback puts back. Raises `PromotionRefused` where there is none."""
    _require_expected(request.model, request.expected_champion, aliases)
    if aliases.previous in (None, aliases.champion):
        raise PromotionRefused(
            f"{request.model} has no previous champion to go back to ({aliases.in_words()}); promote another version",
            _standing(aliases),
        )
    return _known(request.model, aliases.previous, versions).bundle()


def replaced_by(version: str, champion: str | None, versions: Versions) -> str | None:
    """What ``version`` replaced in its time, if one could go back further to it: not to ``champion``, which is rolled
    back now, nor to one that was rolled back before or is no longer in the registry."""
    replaced = versions[version].replaced
    if replaced is None or replaced == champion or replaced not in versions or versions[replaced].was_rolled_back:
        return None
    return replaced


def _require_expected(model: str, expected: str, aliases: Aliases) -> None:
    standing = aliases.champion or "none"
    if expected not in ("current", standing):
        raise PromotionRefused(
            f"{model}: the champion is {standing}, not {expected} as expected: somebody has decided meanwhile; look, "
            "and ask again",
            _standing(aliases),
        )


def _require_first(request: PromotionRequest, aliases: Aliases, versions: Versions) -> None:
    """A lost alias must not let a candidate in without a comparison; whoever means it says so."""
    former = [version for version, record in versions.items() if record.was_promoted]
    if former and request.expected_champion != "none":
        raise PromotionRefused(
            f"{request.model} has no champion to compare with, but version {' and '.join(former)} was one: set the "
            'alias champion again, or expect the champion "none" to promote without a comparison',
            _standing(aliases),
        )


def _known(model: str, number: str | None, versions: Versions) -> VersionRecord:
    if number is None or number not in versions:
        known = ", ".join(versions) or "none"
        raise Stage1Error(f"{model} has no version {number}; choose one of those in the registry ({known})")
    return versions[number]


def _standing(aliases: Aliases) -> dict[str, object]:
    return aliases.model_dump(mode="json")
