"""The aliases of a registered model, and moves of them that survive a crash at any point.

A move is written to the model's tag before the first alias moves and deleted after the last note is written, so what a
killed process left behind is found and ended by whoever comes next. Once finished it stays on record as the model's
last move. Writers hold `tasks.registry_lease`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from pydantic import ValidationError

from stage1_core.config import FrozenModel
from stage1_core.digests import canonical_json
from stage1_core.errors import PromotionConflict, Stage1Error
from stage1_core.promotion.config import VersionNumber
from stage1_core.promotion.intent import Aliases, AliasStep, Intent, resolution, steps
from tasks.registry_versions import registered_model, versions_of
from tasks.tracking import client

CANDIDATE = "candidate"
INTENT_TAG = "stage1.intent"
LAST_MOVE_TAG = "stage1.last_move"
"""The intent that was finished last: by it a run finds its own move again, and what was moved by hand shows."""

MAX_TAG_LENGTH = 5000
"""Characters that MLflow's table of model tags holds on PostgreSQL. SQLite would take any number."""


class Move(FrozenModel):
    """Everything that is needed to carry out a move, and to end it after a crash."""

    intent: Intent
    notes: dict[VersionNumber, dict[str, str]]
    """Tags that the versions get when it is done."""


class Ended(FrozenModel):
    """What became of an interrupted move."""

    model: str
    action: str
    """What had been begun: promote or roll_back; unknown where the record of it was damaged."""
    outcome: Literal["finish", "revert", "abandon"]
    aliases: Aliases
    """Where they point now."""

    def in_words(self) -> str:
        """For a terminal or a log."""
        done = {"finish": "finished", "revert": "taken back", "abandon": "forgotten"}[self.outcome]
        return f"{self.model}: an interrupted {self.action} was {done}; now {self.aliases.in_words()}"


class _Standing(NamedTuple):
    """What one request to the registry shows: where the aliases point, and what is pending."""

    aliases: Aliases
    pending: str | None


def aliases_of(model: str) -> Aliases:
    """Where the aliases point. Raises `Stage1Error` where the registry has no such model."""
    return _standing(model).aliases


def carry_out(move: Move) -> Aliases:
    """Record the move, take its steps, note it on the versions, and forget the record. Where the aliases are then.

    Raises `PromotionConflict` where somebody else moves an alias meanwhile; the record is then kept for a repair.
    """
    recorded = _as_tag(move)
    if len(recorded) > MAX_TAG_LENGTH:
        raise Stage1Error(
            f"the record of this move has {len(recorded)} characters, the registry takes {MAX_TAG_LENGTH}; give a "
            "shorter reason"
        )
    client().set_registered_model_tag(move.intent.model, INTENT_TAG, recorded)
    return _walk(move, steps(move.intent), "finish")


def settle_pending(model: str) -> Ended | None:
    """End what a killed process left behind: forwards if the champion has moved, else backwards. None if nothing is.

    Raises `PromotionConflict` where the aliases are not on the way of that move.
    """
    move = _pending(model)
    if move is None:
        return None
    found = resolution(move.intent, aliases_of(model))
    aliases = _walk(move, found.steps, found.outcome)
    return Ended(model=model, action=move.intent.action, outcome=found.outcome, aliases=aliases)


def abandon_pending(model: str) -> Ended | None:
    """Forget what is pending and leave the aliases where they are. None if nothing is pending."""
    standing = _standing(model)
    if standing.pending is None:
        return None
    try:
        action: str = Move.model_validate_json(standing.pending).intent.action
    except ValidationError:
        action = "unknown move"
    client().delete_registered_model_tag(model, INTENT_TAG)
    return Ended(model=model, action=action, outcome="abandon", aliases=standing.aliases)


def last_move(model: str) -> Intent | None:
    """What was finished last; None where nothing was, or where the record of it was damaged."""
    recorded = registered_model(model).tags.get(LAST_MOVE_TAG)
    try:
        return None if recorded is None else Intent.model_validate_json(recorded)
    except ValidationError:
        return None


def offer(model: str, version: str) -> None:
    """Let ``candidate`` point at ``version`` if it is the newest and nobody has decided about it.

    A version that is registered once more keeps what was decided; one whose registration was killed gets its alias.
    """
    known = versions_of(model)
    record = known[version]
    if version == next(iter(known)) and not record.aliases and not record.is_decided:
        client().set_registered_model_alias(model, CANDIDATE, version)


def _as_tag(record: FrozenModel) -> str:
    return canonical_json(record.model_dump(mode="json")).decode()


def _standing(model: str) -> _Standing:
    found = registered_model(model)
    aliases = {name: str(found.aliases[name]) for name in Aliases.model_fields if name in found.aliases}
    return _Standing(Aliases.model_validate(aliases), found.tags.get(INTENT_TAG))


def _pending(model: str) -> Move | None:
    recorded = _standing(model).pending
    if recorded is None:
        return None
    try:
        return Move.model_validate_json(recorded)
    except ValidationError as error:
        raise PromotionConflict(
            f"{model}: the record of an interrupted move cannot be read; look which version should be the champion, "
            "abandon the move, and promote or roll back"
        ) from error


def _walk(move: Move, way: tuple[AliasStep, ...], outcome: Literal["finish", "revert"]) -> Aliases:
    model = move.intent.model
    for step in way:
        _take(move, step)
    aliases, wanted = _own_standing(move), move.intent.after if outcome == "finish" else move.intent.before
    if aliases != wanted:
        raise _conflict(model, f"the aliases are ({aliases.in_words()}) and should be ({wanted.in_words()})")
    if outcome == "finish":
        for version, tags in move.notes.items():
            for tag, value in tags.items():
                client().set_model_version_tag(model, version, tag, value)
        client().set_registered_model_tag(model, LAST_MOVE_TAG, _as_tag(move.intent))
    client().delete_registered_model_tag(model, INTENT_TAG)
    return aliases


def _take(move: Move, step: AliasStep) -> None:
    """One write, unless it is done already or somebody else has been there."""
    model, found = move.intent.model, getattr(_own_standing(move), step.alias)
    if found == step.version:
        return
    if found != step.expected:
        raise _conflict(model, f"{step.alias} is {found or 'not set'} and should be {step.expected or 'not set'}")
    if step.version is None:
        client().delete_registered_model_alias(model, step.alias)
    else:
        client().set_registered_model_alias(model, step.alias, step.version)


def _own_standing(move: Move) -> Aliases:
    """The aliases, while the record is still this move's: whoever lost the lease must not go on writing."""
    standing, model = _standing(move.intent.model), move.intent.model
    if standing.pending is None or Move.model_validate_json(standing.pending).intent.nonce != move.intent.nonce:
        raise PromotionConflict(f"{model}: somebody else has ended this move or begun another; look and start again")
    return standing.aliases


def _conflict(model: str, found: str) -> PromotionConflict:
    return PromotionConflict(
        f"{model}: {found}: somebody else moved an alias; look which version should be the champion, abandon the move, "
        "and promote or roll back"
    )
