"""Any crash while aliases are moved ends in exactly the old or exactly the new state; anything else is a conflict."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from stage1_core.errors import PromotionConflict, PromotionRefused
from stage1_core.promotion.intent import Aliases, AliasStep, Intent, Resolution, resolution, steps
from tests.promotion.toys import approval, bundle, evidence

versions = st.sampled_from(["1", "2", "3", "4"])
maybe = st.none() | versions
standing = st.builds(Aliases, candidate=maybe, champion=maybe, previous=maybe)


def promotion(before: Aliases, version: str) -> Intent:
    compared = {"champion": bundle(before.champion)} if before.champion else {"champion": None, "not_worse": None}
    shown = evidence(candidate=bundle(version), **compared)
    return Intent.to_promote(shown, approval(shown), before, nonce="n", at="2026-03-05T09:41:07+00:00")


def rollback(before: Aliases, replaced: str | None = None) -> Intent:
    return Intent.to_roll_back("toy", before, replaced=replaced, nonce="n", at="2026-03-05T09:41:07+00:00")


@st.composite
def intents(draw) -> Intent:
    before = draw(standing)
    if draw(st.booleans()):
        version = draw(versions)
        assume(version != before.champion)
        return promotion(before, version)
    assume(before.previous not in (None, before.champion))
    return rollback(before, draw(maybe))


def apply(aliases: Aliases, step: AliasStep) -> Aliases:
    """The registry, as dumb as it is: it sets and removes without asking."""
    return Aliases(**(dict(aliases) | {step.alias: step.version}))


def applied(aliases: Aliases, *taken: AliasStep) -> Aliases:
    for step in taken:
        aliases = apply(aliases, step)
    return aliases


def interrupted(intent: Intent, taken: int) -> Aliases:
    return applied(intent.before, *steps(intent)[:taken])


crashes = st.integers(0, 3)


class TestSteps:
    @given(intents())
    def test_all_of_them_make_before_into_after(self, intent):
        assert interrupted(intent, 3) == intent.after

    @given(intents())
    def test_each_alias_is_written_at_most_once_and_only_where_it_changes(self, intent):
        before, after = dict(intent.before), dict(intent.after)
        written = [step.alias for step in steps(intent)]
        assert sorted(written) == sorted(alias for alias in before if before[alias] != after[alias])

    @given(intents())
    def test_each_says_where_its_alias_stands_before(self, intent):
        for step in steps(intent):
            assert step.expected == dict(intent.before)[step.alias] != step.version

    @given(intents(), crashes, crashes)
    def test_taking_a_step_again_changes_nothing(self, intent, taken, again):
        here = interrupted(intent, taken)
        assert applied(here, *steps(intent)[min(again, taken) : taken]) == here

    def test_a_promotion_saves_the_old_champion_before_it_moves_the_new_one_in(self):
        intent = promotion(Aliases(candidate="3", champion="2", previous="1"), "3")
        assert [(step.alias, step.version) for step in steps(intent)] == [
            ("previous", "2"),
            ("champion", "3"),
            ("candidate", None),
        ]

    def test_a_rollback_takes_the_bad_champion_away_first(self):
        intent = rollback(Aliases(candidate="3", champion="2", previous="1"))
        assert [(step.alias, step.version) for step in steps(intent)] == [("champion", "1"), ("previous", None)]


class TestResolution:
    @given(intents(), crashes)
    def test_it_ends_exactly_before_or_exactly_after_depending_on_the_champion(self, intent, taken):
        here = interrupted(intent, taken)
        found = resolution(intent, here)
        moved = here.champion == intent.after.champion
        assert found.outcome == ("finish" if moved else "revert")
        assert applied(here, *found.steps) == (intent.after if moved else intent.before)

    @given(intents(), crashes, crashes)
    def test_a_crash_of_the_repair_itself_is_repaired_in_the_same_direction(self, intent, taken, repaired):
        here = interrupted(intent, taken)
        first = resolution(intent, here)
        second = resolution(intent, applied(here, *first.steps[:repaired]))
        assert second == Resolution(outcome=first.outcome, steps=first.steps[repaired:])

    @given(intents(), crashes)
    def test_resolving_again_leaves_nothing_to_do(self, intent, taken):
        here = interrupted(intent, taken)
        found = resolution(intent, here)
        assert resolution(intent, applied(here, *found.steps)) == Resolution(outcome=found.outcome, steps=())

    @given(intents(), crashes)
    def test_every_step_of_it_expects_what_is_there(self, intent, taken):
        here = interrupted(intent, taken)
        for step in resolution(intent, here).steps:
            assert dict(here)[step.alias] == step.expected
            here = apply(here, step)

    @given(intents(), standing)
    def test_anything_that_no_interruption_leaves_behind_is_a_conflict(self, intent, observed):
        assume(observed not in [interrupted(intent, taken) for taken in range(4)])
        with pytest.raises(PromotionConflict, match="somebody else moved one"):
            resolution(intent, observed)

    @given(intents(), crashes, st.sampled_from(["candidate", "champion", "previous"]))
    def test_an_alias_that_a_third_party_moved_is_a_conflict_whenever_it_was(self, intent, taken, alias):
        observed = applied(interrupted(intent, taken), AliasStep(alias=alias, expected=None, version="99"))
        with pytest.raises(PromotionConflict, match="99"):
            resolution(intent, observed)

    def test_before_the_champion_moves_a_promotion_is_taken_back(self):
        intent = promotion(Aliases(candidate="3", champion="2", previous="1"), "3")
        found = resolution(intent, Aliases(candidate="3", champion="2", previous="2"))
        assert found == Resolution(outcome="revert", steps=(AliasStep(alias="previous", expected="2", version="1"),))

    def test_once_the_champion_has_moved_a_promotion_is_finished(self):
        intent = promotion(Aliases(candidate="3", champion="2", previous="1"), "3")
        found = resolution(intent, Aliases(candidate="3", champion="3", previous="2"))
        assert found == Resolution(outcome="finish", steps=(AliasStep(alias="candidate", expected="3", version=None),))


class TestPromoting:
    def test_a_first_promotion_has_no_previous_champion(self):
        assert promotion(Aliases(candidate="1"), "1").after == Aliases(champion="1")

    @given(standing, versions)
    def test_the_candidate_alias_goes_only_where_it_names_the_promoted_version(self, before, version):
        assume(version != before.champion)
        left = promotion(before, version).after.candidate
        assert left == (None if before.candidate == version else before.candidate)

    @pytest.mark.parametrize("champion", [None, "6"])
    def test_a_champion_that_changed_since_the_comparison_is_a_conflict(self, champion):
        shown = evidence()
        with pytest.raises(PromotionConflict, match="compared with champion 5"):
            Intent.to_promote(shown, approval(shown), Aliases(champion=champion), nonce="n", at="now")

    def test_a_champion_that_appeared_since_is_a_conflict(self):
        shown = evidence(champion=None, not_worse=None)
        with pytest.raises(PromotionConflict, match="compared with champion none"):
            Intent.to_promote(shown, approval(shown), Aliases(champion="5"), nonce="n", at="now")

    def test_there_is_no_intent_without_an_approval_of_its_evidence(self):
        shown = evidence()
        with pytest.raises(PromotionRefused):
            Intent.to_promote(shown, approval(shown, decision="refuse"), Aliases(champion="5"), nonce="n", at="now")

    def test_it_carries_the_digest_of_what_was_approved(self):
        shown = evidence()
        intent = Intent.to_promote(shown, approval(shown), Aliases(champion="5"), nonce="n", at="now")
        assert intent.evidence_digest == shown.digest()
        assert Intent.model_validate_json(intent.to_json()) == intent


class TestRollingBack:
    @given(standing, maybe)
    def test_the_previous_champion_is_back_and_the_candidate_alias_is_left_alone(self, before, replaced):
        assume(before.previous not in (None, before.champion))
        after = rollback(before, replaced).after
        assert after == Aliases(candidate=before.candidate, champion=before.previous, previous=replaced)

    @pytest.mark.parametrize("before", [Aliases(champion="2"), Aliases(), Aliases(champion="2", previous="2")])
    def test_without_another_previous_champion_it_is_refused(self, before):
        with pytest.raises(PromotionRefused, match="no previous champion"):
            rollback(before)


@pytest.mark.parametrize("champion", [None, "2"])
def test_an_intent_that_does_not_move_the_champion_is_refused(champion):
    sound = promotion(Aliases(champion="2"), "3")
    with pytest.raises(ValidationError, match="point of no return"):
        Intent(**(dict(sound) | {"after": Aliases(champion=champion)}))
