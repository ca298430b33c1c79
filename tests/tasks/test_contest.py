"""Which versions a promotion or a rollback is about."""

from __future__ import annotations

import pytest

from stage1_core.errors import NothingToDo, PromotionRefused, Stage1Error
from stage1_core.promotion.config import PromotionRequest, RollbackRequest
from stage1_core.promotion.intent import Aliases
from tasks.contest import contest_of, previous_of, replaced_by
from tasks.registry_versions import DIGEST_TAG, PROMOTED_AT, REPLACED, ROLLED_BACK_AT, VersionRecord

STANDING = Aliases(candidate="3", champion="2", previous="1")


def record(version: str, **tags: str) -> VersionRecord:
    tags = {DIGEST_TAG: version * 64} | tags
    return VersionRecord(model="toy", version=version, run_id="r", aliases=(), tags=tags)


VERSIONS = {number: record(number) for number in ("3", "2", "1")}


def asked(**changes: str) -> PromotionRequest:
    return PromotionRequest.model_validate({"model": "toy"} | changes)


def test_by_default_the_candidate_is_held_against_the_champion():
    contest = contest_of(asked(), STANDING, VERSIONS)
    assert contest.champion is not None
    assert (contest.candidate.version, contest.champion.version) == ("3", "2")
    assert contest.candidate.content_digest == "3" * 64
    assert contest.title == "promotion of toy version 3 (333333333333…) against version 2 (222222222222…)"


def test_a_first_promotion_has_no_champion():
    contest = contest_of(asked(expected_champion="none"), Aliases(candidate="1"), VERSIONS)
    assert contest.champion is None


def test_a_lost_champion_lets_no_candidate_in_without_a_comparison():
    versions = VERSIONS | {"2": record("2", **{PROMOTED_AT: "once"})}
    with pytest.raises(PromotionRefused, match="no champion to compare with, but version 2 was one"):
        contest_of(asked(), Aliases(candidate="3"), versions)
    assert contest_of(asked(expected_champion="none"), Aliases(candidate="3"), versions).champion is None


def test_without_a_candidate_there_is_nothing_to_do():
    with pytest.raises(NothingToDo, match="no version of toy waits") as outcome:
        contest_of(asked(), Aliases(champion="2"), VERSIONS)
    assert outcome.value.standing == {"candidate": None, "champion": "2", "previous": None}


def test_the_champion_need_not_be_promoted():
    with pytest.raises(NothingToDo, match="version 2 is the champion already"):
        contest_of(asked(candidate="2"), STANDING, VERSIONS)


@pytest.mark.parametrize("expected", ["1", "none"])
def test_another_champion_than_expected_is_a_refusal(expected):
    with pytest.raises(PromotionRefused, match=f"the champion is 2, not {expected}"):
        contest_of(asked(expected_champion=expected), STANDING, VERSIONS)
    if expected != "none":
        with pytest.raises(PromotionRefused, match="the champion is 2, not 1"):
            previous_of(RollbackRequest(model="toy", reason="why", expected_champion=expected), STANDING, VERSIONS)


def test_a_version_that_was_rolled_back_is_promoted_by_its_number_only():
    versions = VERSIONS | {"3": record("3", **{ROLLED_BACK_AT: "once"})}
    with pytest.raises(PromotionRefused, match="name it by its number"):
        contest_of(asked(), STANDING, versions)
    assert contest_of(asked(candidate="3"), STANDING, versions).candidate.version == "3"


def test_a_version_that_does_not_exist_is_named_with_those_that_do():
    with pytest.raises(Stage1Error, match=r"no version 7; .*\(3, 2, 1\)"):
        contest_of(asked(candidate="7"), STANDING, VERSIONS)


def test_a_version_without_a_bundle_is_not_promoted():
    bare = VersionRecord(model="toy", version="3", run_id="r", aliases=(), tags={})
    with pytest.raises(Stage1Error, match="no bundle was registered"):
        contest_of(asked(), STANDING, VERSIONS | {"3": bare})


def test_a_rollback_goes_to_the_previous_champion():
    assert previous_of(RollbackRequest(model="toy", reason="why"), STANDING, VERSIONS).version == "1"


@pytest.mark.parametrize("aliases", [Aliases(champion="2"), Aliases(champion="2", previous="2")])
def test_a_rollback_without_a_previous_champion_is_refused(aliases):
    with pytest.raises(PromotionRefused, match="no previous champion"):
        previous_of(RollbackRequest(model="toy", reason="why"), aliases, VERSIONS)


@pytest.mark.parametrize(
    ("tags", "versions", "further"),
    [
        ({REPLACED: "1"}, {}, "1"),
        ({}, {}, None),
        ({REPLACED: ""}, {}, None),
        ({REPLACED: "3"}, {}, None),
        ({REPLACED: "9"}, {}, None),
        ({REPLACED: "1"}, {"1": record("1", **{ROLLED_BACK_AT: "once"})}, None),
    ],
    ids=["what it replaced", "unknown", "nothing", "the one rolled back now", "deleted", "rolled back before"],
)
def test_how_far_back_one_could_go_after_a_rollback(tags, versions, further):
    assert replaced_by("2", "3", VERSIONS | {"2": record("2", **tags)} | versions) == further
