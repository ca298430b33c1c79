"""Moves of aliases in a real registry: wherever one is killed, what is left is exactly the old or exactly the new.

Takes about 40 seconds on two idle cores.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from stage1_core.errors import PromotionConflict, Stage1Error
from stage1_core.promotion.intent import Aliases
from tasks.registry_aliases import (
    CANDIDATE,
    INTENT_TAG,
    Move,
    abandon_pending,
    aliases_of,
    carry_out,
    offer,
    settle_pending,
)
from tasks.registry_versions import PROMOTED_AT, versions_of
from tests.live.moving import NOTE, SCENARIOS, Scenario, make_model, move_of, reset
from tests.live.servers import ROOT, clean_environment
from tests.promotion.moves import BEFORE

PROMOTE, ROLL_BACK = SCENARIOS
each_scenario = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.action)

pytestmark = pytest.mark.usefixtures("on_the_server")


@pytest.fixture(scope="module")
def crashes(mlflow_url: str) -> list[dict[str, Any]]:
    """What every crash of a move, and of its repair, left behind, and what there was after the next repair."""
    command = [sys.executable, str(Path(__file__).with_name("moving.py"))]
    environment = clean_environment(MLFLOW_TRACKING_URI=mlflow_url, PYTHONPATH=str(ROOT))
    made = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr[-3000:]
    return [json.loads(line) for line in made.stdout.splitlines()]


@pytest.fixture
def model(request: pytest.FixtureRequest) -> str:
    """A registered model of the test's own, with candidate 3, champion 2, previous 1."""
    name = request.node.name.replace("[", "-").replace("]", "")
    make_model(name)
    reset(name, "1")
    return name


@each_scenario
class TestCrashes:
    def test_every_write_was_the_last_of_some_process(self, crashes: list[dict[str, Any]], scenario: Scenario):
        seen = {crash["killed_after"][0] for crash in crashes if crash["action"] == scenario.action}
        record, note, keep, forget = 1, 1, 1, 1
        moved = sum(dict(BEFORE)[alias] != version for alias, version in scenario.after)
        assert seen == set(range(record + moved + note + keep + forget + 2)), "and a last one that was not killed"

    def test_a_repair_leaves_the_old_aliases_or_the_new_ones_and_nothing_pending(self, crashes, scenario):
        allowed = (BEFORE.model_dump(), scenario.after.model_dump())
        found = [crash for crash in crashes if crash["action"] == scenario.action]
        assert all(crash["aliases"] in allowed and not crash["pending"] for crash in found)
        assert {str(crash["aliases"]) for crash in found} == set(map(str, allowed))

    def test_what_the_champion_has_not_begun_is_taken_back_and_the_rest_is_finished(self, crashes, scenario):
        for crash in crashes:
            if crash["action"] == scenario.action:
                moved = crash["left"]["champion"] == scenario.after.champion
                assert crash["aliases"] == (scenario.after if moved else BEFORE).model_dump(), crash
                assert crash["noted"] is moved, crash


def test_a_move_ends_with_its_aliases_its_notes_and_no_record(model: str):
    assert carry_out(move_of(PROMOTE, model)) == PROMOTE.after == aliases_of(model)
    assert MlflowClient().get_model_version(model, "3").tags[NOTE] == "done"
    assert settle_pending(model) is None


def test_an_alias_that_somebody_else_moved_is_a_conflict_until_the_move_is_abandoned(model: str):
    record(move_of(PROMOTE, model))
    MlflowClient().set_registered_model_alias(model, "champion", "1")
    with pytest.raises(PromotionConflict, match="somebody else moved one"):
        settle_pending(model)
    ended = abandon_pending(model)
    assert ended is not None
    assert (ended.outcome, ended.aliases.champion) == ("abandon", "1")
    assert settle_pending(model) is None


def test_a_record_that_cannot_be_read_is_a_conflict_until_it_is_abandoned(model: str):
    MlflowClient().set_registered_model_tag(model, INTENT_TAG, "{}")
    with pytest.raises(PromotionConflict, match="cannot be read"):
        settle_pending(model)
    ended = abandon_pending(model)
    assert ended is not None
    assert ended.aliases == BEFORE == aliases_of(model)


def test_who_lost_the_record_writes_nothing_more(model: str, monkeypatch: pytest.MonkeyPatch):
    set_alias = MlflowClient.set_registered_model_alias

    def overtaken(client: MlflowClient, name: str, alias: str, version: str) -> None:
        set_alias(client, name, alias, version)
        client.delete_registered_model_tag(name, INTENT_TAG)

    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", overtaken)
    with pytest.raises(PromotionConflict, match="somebody else has ended this move"):
        carry_out(move_of(PROMOTE, model))
    assert aliases_of(model).champion == "2"


def test_a_reason_that_the_registry_would_not_keep_is_refused_before_anything_moves(model: str):
    move = move_of(PROMOTE, model)
    with pytest.raises(Stage1Error, match="shorter reason"):
        carry_out(move.model_copy(update={"notes": {"3": {NOTE: "long " * 1000}}}))
    assert aliases_of(model) == BEFORE


def test_a_model_that_is_not_registered_is_named(mlflow_url: str):
    with pytest.raises(Stage1Error, match="no model 'absent'"):
        aliases_of("absent")


class TestOffers:
    def test_a_version_whose_registration_was_killed_becomes_candidate(self, model: str):
        version = MlflowClient().create_model_version(model, "s3://nowhere/model").version
        offer(model, str(version))
        assert aliases_of(model).candidate == str(version) == "4"

    def test_a_version_that_was_decided_about_does_not(self, model: str):
        version = str(MlflowClient().create_model_version(model, "s3://nowhere/model").version)
        MlflowClient().set_model_version_tag(model, version, PROMOTED_AT, "long ago")
        offer(model, version)
        assert aliases_of(model).candidate == "3"

    def test_an_older_version_does_not(self, model: str):
        MlflowClient().delete_registered_model_alias(model, CANDIDATE)
        MlflowClient().delete_registered_model_alias(model, "previous")
        offer(model, "1")
        assert aliases_of(model) == Aliases(champion="2")


def test_versions_are_listed_newest_first_with_their_aliases(model: str):
    assert {number: one.aliases for number, one in versions_of(model).items()} == {
        "3": ("candidate",),
        "2": ("champion",),
        "1": ("previous",),
    }
    assert list(versions_of(model)) == ["3", "2", "1"]


def record(move: Move) -> None:
    """What a process leaves that is killed at once."""
    MlflowClient().set_registered_model_tag(move.intent.model, INTENT_TAG, move.model_dump_json())
