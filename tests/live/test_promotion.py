"""Promotion and rollback of real bundles against real servers, from the command line and as flows.

Takes about two minutes on two idle cores: three releases, and two promotions that race.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from flows.release import promotion, rollback
from stage1_core.errors import BundleError, PromotionRefused
from stage1_core.promotion.config import PromotionRequest, RollbackRequest
from stage1_core.promotion.evidence import PromotionEvidence
from stage1_core.promotion.intent import Aliases
from tasks._workspace import access_log
from tasks.data import load_ledger
from tasks.registry_aliases import INTENT_TAG, aliases_of
from tasks.registry_versions import EVIDENCE, PROMOTED_AT, REPLACED, ROLLED_BACK_BECAUSE
from tests.live.releases import LENIENT, release_toys, stage1, start, workplace, write_config

MODEL = "raced"
APPROVED = ("--yes", "--approver", "A. Tester", "--reason", "it is better")


@pytest.fixture(scope="module")
def environment(
    tmp_path_factory: pytest.TempPathFactory, prefect_url: str, mlflow_url: str
) -> Iterator[dict[str, str]]:
    with workplace(tmp_path_factory.mktemp("promotion") / "workspace", prefect_url, mlflow_url) as variables:
        yield variables


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_config(tmp_path_factory.mktemp("config"))


@pytest.fixture(scope="module")
def ledger(environment, tmp_path_factory):
    """The split of three releases; the last of them is the candidate."""
    released = release_toys(tmp_path_factory.mktemp("toys") / "pictures", MODEL, seeds=3)
    assert aliases_of(MODEL) == Aliases(candidate="3")
    return load_ledger(released[0].made.ledger)


@pytest.fixture(scope="module")
def first(environment, ledger, config):
    """Version 1 is the first champion."""
    code, output = stage1(environment, "promote", MODEL, "--candidate", 1, "--config", config, *APPROVED)
    assert code == 0, output
    assert aliases_of(MODEL) == Aliases(candidate="3", champion="1")
    return output


@pytest.fixture(scope="module")
def race(environment, first, config):
    """Versions 2 and 3 both want to replace version 1, at once. Exit code and output of each."""
    options = ("--expect-champion", 1, "--config", config, *APPROVED)
    both = {number: start(environment, "promote", MODEL, "--candidate", number, *options) for number in ("2", "3")}
    outputs = {number: process.communicate(timeout=300)[0] for number, process in both.items()}
    return {number: (process.returncode, outputs[number]) for number, process in both.items()}


@pytest.fixture(scope="module")
def winner(race):
    (number,) = [number for number, (code, _) in race.items() if code == 0]
    return number


@contextmanager
def tampered(mlflow_folder: Path, version: str) -> Iterator[None]:
    """Another threshold in the bundle of a version, as the MLflow server keeps it; afterwards the old one again."""
    model_id = MlflowClient().get_model_version(MODEL, version).source.removeprefix("models:/")
    (policy,) = (mlflow_folder / "files").rglob(f"{model_id}/**/thresholds.json")
    content = policy.read_text()
    policy.write_text(content.replace('"exit_threshold": 0.', '"exit_threshold": 0.0'))
    assert policy.read_text() != content
    yield
    policy.write_text(content)


def registered() -> dict[str, str]:
    return dict(MlflowClient().search_registered_models(f"name = '{MODEL}'")[0].tags)


def test_a_first_champion_needs_no_comparison_and_opens_no_test_rows(first, ledger):
    assert "no champion yet" in first
    assert "champion 1" in first
    reasons = [entry.reason for entry in access_log(ledger.origin).entries()]
    assert not [reason for reason in reasons if reason.startswith("promotion")]


def test_of_two_promotions_at_once_one_wins_and_the_other_is_refused(race, winner):
    (loser,) = {"2", "3"} - {winner}
    code, output = race[loser]
    assert code == 3, output
    assert "refused: " in output
    assert aliases_of(MODEL).champion == winner
    assert aliases_of(MODEL).previous == "1"
    assert INTENT_TAG not in registered()


def test_the_winner_carries_who_approved_it_why_and_on_which_evidence(winner):
    tags = MlflowClient().get_model_version(MODEL, winner).tags
    assert tags["stage1.approver"] == "A. Tester"
    assert tags["stage1.reason"] == "it is better"
    assert tags[REPLACED] == "1"
    assert tags[PROMOTED_AT].startswith("20")
    run = MlflowClient().get_model_version(MODEL, winner).run_id
    path = MlflowClient().download_artifacts(run, f"promotion/{tags[EVIDENCE][:12]}.json")
    assert PromotionEvidence.from_json_file(Path(path)).digest() == tags[EVIDENCE]


def test_each_comparison_is_one_look_at_the_test_rows(race, ledger):
    looks = [entry for entry in access_log(ledger.origin).entries() if "against version 1" in entry.reason]
    assert sorted(re.findall(r"of raced version (\d)", " ".join(entry.reason for entry in looks))) == ["2", "3"]


def test_what_is_champion_already_is_nothing_to_do(environment, winner, config):
    code, output = stage1(environment, "promote", MODEL, "--candidate", winner, "--config", config, *APPROVED)
    assert (code, "nothing to do" in output) == (0, True), output


def test_margins_that_the_rows_cannot_show_refuse_the_candidate(winner):
    (loser,) = {"2", "3"} - {winner}
    with pytest.raises(PromotionRefused, match="not promoted"):
        promotion(PromotionRequest(model=MODEL, candidate=loser))
    assert aliases_of(MODEL).champion == winner


def test_an_unexpected_champion_refuses_before_anything_is_computed(winner):
    (loser,) = {"2", "3"} - {winner}
    with pytest.raises(PromotionRefused, match="not none as expected"):
        promotion(PromotionRequest(model=MODEL, candidate=loser, expected_champion="none", config=LENIENT))


def test_a_candidate_that_was_changed_in_the_registry_is_refused(winner, mlflow_folder):
    (loser,) = {"2", "3"} - {winner}
    with tampered(mlflow_folder, loser), pytest.raises(PromotionRefused, match="damaged in the registry"):
        promotion(PromotionRequest(model=MODEL, candidate=loser, config=LENIENT))
    assert aliases_of(MODEL).champion == winner


def test_a_rollback_refuses_a_previous_champion_that_was_changed(winner, mlflow_folder):
    with tampered(mlflow_folder, "1"), pytest.raises(PromotionRefused, match="damaged in the registry"):
        rollback(RollbackRequest(model=MODEL, reason="a test of damage"))
    assert aliases_of(MODEL).champion == winner


def test_a_champion_that_was_changed_is_not_loaded(winner, mlflow_folder):
    with tampered(mlflow_folder, winner), pytest.raises(BundleError, match=r"thresholds\.json"):
        mlflow.pyfunc.load_model(f"models:/{MODEL}@champion")


def test_a_rollback_puts_the_previous_champion_back(environment, winner):
    code, output = stage1(environment, "rollback", MODEL, "--reason", "false alarms")
    assert code == 0, output
    assert aliases_of(MODEL).champion == "1"
    assert aliases_of(MODEL).previous is None
    assert MlflowClient().get_model_version(MODEL, winner).tags[ROLLED_BACK_BECAUSE] == "false alarms"
    code, output = stage1(environment, "registry", MODEL)
    assert code == 0
    assert "false alarms" in " ".join(output.split())
