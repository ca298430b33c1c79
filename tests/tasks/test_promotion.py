"""A move whose run is tried again, or begins anew, is made once: the run finds what it has done already."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from mlflow import MlflowClient
from prefect import flow

import tasks.promotion
from flows.release import rollback
from stage1_core.errors import NothingToDo, PromotionRefused
from stage1_core.promotion.config import PromotionRequest, RollbackRequest
from stage1_core.promotion.evidence import RegisteredBundle
from stage1_core.promotion.intent import Aliases
from tasks.evidence import find_contest
from tasks.promotion import promote, roll_back
from tasks.registry_aliases import INTENT_TAG, LAST_MOVE_TAG, aliases_of, last_move
from tasks.registry_versions import (
    DIGEST_TAG,
    PROMOTED_ON,
    REPLACED,
    ROLLED_BACK_AT,
    registered_model,
    versions_of,
)
from tests.promotion.moves import BEFORE, REGISTRY_WRITES
from tests.promotion.toys import approval, evidence

MODEL = "toy"
PROMOTED = Aliases(champion="3", previous="2")
ROLLED_BACK = Aliases(candidate="3", champion="1")
BACK = RollbackRequest(model=MODEL, reason="false alarms")
NETWORK = ConnectionResetError("the network is away")
PROMOTING, ROLLING_BACK = 11, 7
"""Writes of a promotion: record, three aliases, five notes, the last move, no record. Of a rollback: two and two."""


def numbered(version: str) -> RegisteredBundle:
    return RegisteredBundle(version=version, content_digest=version * 64)


EVIDENCE = evidence(model=MODEL, candidate=numbered("3"), champion=numbered("2"))


@pytest.fixture(autouse=True)
def registry(workspace) -> MlflowClient:
    """Three versions, of which 2 replaced 1."""
    client = MlflowClient()
    client.create_registered_model(MODEL)
    for number in "123":
        client.create_model_version(MODEL, "s3://nowhere/model", tags={DIGEST_TAG: number * 64})
    for alias, version in BEFORE:
        client.set_registered_model_alias(MODEL, alias, version)
    return client


@pytest.fixture
def lost_answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[str]]:
    """Let the answer to write number ``fatal`` be lost, once; the names of all writes are listed."""

    def lose(fatal: int) -> list[str]:
        made: list[str] = []

        def losing(name: str, write: Callable[..., Any]) -> Callable[..., Any]:
            def written(*arguments: Any, **named: Any) -> Any:
                outcome = write(*arguments, **named)
                made.append(name)
                if len(made) == fatal:
                    raise NETWORK
                return outcome

            return written

        for name in REGISTRY_WRITES:
            monkeypatch.setattr(MlflowClient, name, losing(name, getattr(MlflowClient, name)))
        return made

    return lose


@flow
def promoting():
    return promote.with_options(retry_delay_seconds=0)(EVIDENCE, approval(EVIDENCE))


@flow
def going_back():
    return roll_back.with_options(retry_delay_seconds=0)(BACK, numbered("1"))


def pending() -> bool:
    return INTENT_TAG in registered_model(MODEL).tags


@pytest.mark.parametrize("fatal", range(1, PROMOTING + 1))
def test_a_promotion_that_lost_an_answer_is_finished_by_its_next_try(lost_answer, fatal):
    writes = lost_answer(fatal)
    intent = promoting()
    assert len(writes) >= PROMOTING
    assert (intent.before, intent.after, aliases_of(MODEL)) == (BEFORE, PROMOTED, PROMOTED)
    assert not pending()
    tags = versions_of(MODEL)["3"].tags
    assert (tags[PROMOTED_ON], tags[REPLACED]) == (EVIDENCE.digest(), "2")


@pytest.mark.parametrize("fatal", range(1, ROLLING_BACK + 1))
def test_a_rollback_that_lost_an_answer_is_finished_by_its_next_try(lost_answer, fatal):
    writes = lost_answer(fatal)
    intent = going_back()
    assert len(writes) >= ROLLING_BACK
    assert (intent.before, intent.after, aliases_of(MODEL)) == (BEFORE, ROLLED_BACK, ROLLED_BACK)
    assert not pending()
    assert ROLLED_BACK_AT in versions_of(MODEL)["2"].tags


@pytest.mark.parametrize(
    ("move", "after", "once"), [(promoting, PROMOTED, PROMOTING), (going_back, ROLLED_BACK, ROLLING_BACK)]
)
def test_an_error_behind_the_last_write_moves_nothing_twice(monkeypatch, lost_answer, move, after, once):
    announce, failures = tasks.promotion.announce_move, [NETWORK]

    def announced(*arguments: Any) -> None:
        if failures:
            raise failures.pop()
        announce(*arguments)

    monkeypatch.setattr(tasks.promotion, "announce_move", announced)
    writes = lost_answer(0)
    assert move().after == after == aliases_of(MODEL)
    assert len(writes) == once


def test_another_run_with_the_same_evidence_is_refused_and_says_which_champion_stands():
    promoting()
    with pytest.raises(PromotionRefused, match="compared with champion 2, but the champion is 3 now"):
        promoting()


def test_another_rollback_to_the_same_version_is_refused():
    going_back()
    with pytest.raises(PromotionRefused, match="no previous champion"):
        going_back()


def test_a_promotion_that_begins_anew_asks_about_no_other_candidate(registry):
    @flow
    def beginning_anew():
        promote(EVIDENCE, approval(EVIDENCE))
        registry.create_model_version(MODEL, "s3://nowhere/model", tags={DIGEST_TAG: "4" * 64})
        registry.set_registered_model_alias(MODEL, "candidate", "4")
        find_contest(PromotionRequest(model=MODEL))

    with pytest.raises(NothingToDo, match="this run has made version 3 the champion already"):
        beginning_anew()


def test_a_rollback_that_begins_anew_goes_back_once(register):
    model = "deep"
    for _ in "123":
        register(model)
    for alias, version in (("champion", "3"), ("previous", "2")):
        MlflowClient().set_registered_model_alias(model, alias, version)
    MlflowClient().set_model_version_tag(model, "2", REPLACED, "1")

    @flow
    def beginning_anew():
        return [rollback.fn(RollbackRequest(model=model, reason="false alarms")) for _ in range(2)]

    first, again = beginning_anew()
    assert first == again
    assert aliases_of(model) == Aliases(champion="2", previous="1")


def test_a_run_that_was_overtaken_does_not_take_the_move_of_others_for_its_own():
    promoting()
    going = RollbackRequest(model=MODEL, reason="it is bad")
    flow(lambda: roll_back(going, numbered("2")), name="taking_back")()
    assert last_move(MODEL).action == "roll_back"
    assert aliases_of(MODEL).champion == "2"


def test_a_damaged_record_of_the_last_move_is_nobodys(registry):
    registry.set_registered_model_tag(MODEL, LAST_MOVE_TAG, "{}")
    assert last_move(MODEL) is None
    assert promoting().after == PROMOTED
