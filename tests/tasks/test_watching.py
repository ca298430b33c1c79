"""Whatever is not as it was promoted is said, and what is, is left in peace."""

from __future__ import annotations

import shutil

import pytest
from mlflow import MlflowClient

import tasks.watching
from flows.monitor import monitor
from stage1_core.promotion.intent import Aliases
from stage1_core.promotion.watch import MonitorConfig
from tasks.events import EventName
from tasks.registry_aliases import INTENT_TAG
from tasks.watching import find_models, look_at
from tests.tasks.conftest import crown


def troubles(model: str) -> str:
    return "; ".join(look_at(model).troubles)


@pytest.fixture
def champion(register):
    """The registry's copy of the bundle of toy version 1, the champion."""
    copy = register("toy")
    crown("toy", "1")
    return copy


def test_a_champion_as_promoted_has_no_trouble(champion):
    found = look_at("toy")
    assert (found.champion, found.troubles) == ("1", ())
    assert found.row() == {"model": "toy", "champion": "1", "found": "as promoted"}


def test_a_changed_file_is_damage(champion):
    (champion / "thresholds.json").write_text("{}")
    assert "toy version 1 is damaged in the registry" in troubles("toy")


def test_a_bundle_that_is_gone_is_damage(champion):
    shutil.rmtree(champion)
    assert "toy version 1 has lost its bundle in the registry" in troubles("toy")


def test_another_bundle_than_was_registered_is_damage(champion):
    MlflowClient().set_model_version_tag("toy", "1", "stage1.bundle", "f" * 64)
    assert "was registered with bundle ffffffffffff…, the registry now holds" in troubles("toy")


def test_an_alias_that_was_moved_by_hand_shows_even_where_the_version_was_champion_once(champion, register):
    register("toy")
    crown("toy", "2", Aliases(champion="1"))
    assert troubles("toy") == ""
    MlflowClient().set_registered_model_alias("toy", "champion", "1")
    assert "version 1 is the champion, by the record it is 2: the alias was moved by hand" in troubles("toy")


def test_a_champion_without_any_record_was_made_by_hand(register):
    register("toy")
    MlflowClient().set_registered_model_alias("toy", "champion", "1")
    assert "by the record it is none" in troubles("toy")


def test_a_champion_that_was_taken_away_by_hand_is_still_looked_for(champion):
    MlflowClient().delete_registered_model_alias("toy", "champion")
    assert find_models.fn(MonitorConfig()) == ["toy"]
    assert troubles("toy") == "no version is the champion; the last one was version 1"


def test_a_move_that_has_not_ended_is_named_with_its_repair(champion):
    MlflowClient().set_registered_model_tag("toy", INTENT_TAG, "{}")
    assert "run `stage1 repair toy`" in troubles("toy")


def test_a_version_without_a_bundle_is_named(workspace):
    client = MlflowClient()
    client.create_registered_model("toy")
    client.create_model_version("toy", "s3://nowhere/model")
    crown("toy", "1")
    assert "no bundle was registered as it" in troubles("toy")


def test_a_model_that_does_not_exist_does_not_stop_the_look_at_others(champion):
    absent, there = monitor(MonitorConfig(models=("absent", "toy")))
    assert "no model 'absent'" in absent.troubles[0]
    assert there.troubles == ()


def test_by_default_every_model_that_has_or_had_a_champion_is_looked_at_beyond_the_first_page(champion):
    client = MlflowClient()
    for number in range(100):
        client.create_registered_model(f"a{number:03}")
    assert find_models.fn(MonitorConfig()) == ["toy"]


def test_trouble_is_sent_as_an_event_and_peace_is_not(champion, monkeypatch):
    sent = []
    monkeypatch.setattr(
        tasks.watching, "emit", lambda name, resource, **payload: sent.append((name, resource, payload))
    )
    monitor()
    assert sent == []
    MlflowClient().delete_registered_model_alias("toy", "champion")
    monitor()
    why = "no version is the champion; the last one was version 1"
    assert sent == [(EventName.CHAMPION_IN_DOUBT, "stage1.model.toy", {"version": None, "why": why})]


def test_the_flow_returns_what_it_found(champion):
    (champion / "thresholds.json").write_text("{}")
    (found,) = monitor()
    assert found.model == "toy"
    assert len(found.troubles) == 1
