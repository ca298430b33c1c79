"""Promotion, rollback and repair of real bundles against real servers, from the command line and as flows.

Takes about two and a half minutes on two idle cores: three releases, two promotions that race, and a promotion and a
rollback that are killed.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate

from flows.release import promotion, repair, rollback
from stage1_core.errors import BundleError, PromotionConflict, PromotionRefused
from stage1_core.promotion.config import PromotionRequest, RepairRequest, RollbackRequest
from stage1_core.promotion.evidence import PromotionEvidence
from stage1_core.promotion.intent import Aliases
from tasks._workspace import access_log
from tasks.data import load_ledger
from tasks.events import EventName, model_resource, phase_resource
from tasks.registry_aliases import INTENT_TAG, aliases_of
from tasks.registry_lease import lease_name
from tasks.registry_versions import CERTIFICATE_TAG, DIGEST_TAG, EVIDENCE, PROMOTED_AT, REPLACED, ROLLED_BACK_BECAUSE
from tests.live.moving import SCENARIOS, make_model, move_of, reset
from tests.live.releases import LENIENT, release_toys, stage1, start, told, until_told, workplace, write_config
from tests.promotion.moves import BEFORE

MODEL = "raced"
ABOUT_IT = model_resource(MODEL)
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


def killed(environment: dict[str, str], *words: object) -> None:
    """`stage1 <words>` until it has moved one alias; the lease that it leaves behind is taken away by hand."""
    fatal = "from tests.live.moving import kill_after; kill_after(1, ('set_registered_model_alias',)); "
    process = start(environment, *words, first=fatal)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == -signal.SIGKILL, output
    with get_client(sync_client=True) as server:
        server.update_global_concurrency_limit(lease_name(MODEL), GlobalConcurrencyLimitUpdate(active_slots=0))


def test_each_release_was_an_event(ledger):
    until_told(EventName.BUNDLE_RELEASED, ABOUT_IT, version="3")
    sent = {one.pop("version"): one for one in told(EventName.BUNDLE_RELEASED, ABOUT_IT)}
    assert sorted(sent) == ["1", "2", "3"]
    version = MlflowClient().get_model_version(MODEL, "3")
    assert sent["3"] == {
        "model": MODEL,
        "release": "0.1.0",
        "digest": version.tags[DIGEST_TAG],
        "phase": "baseline",
        "certified": version.tags[CERTIFICATE_TAG],
        "mlflow_run": version.run_id,
    }
    assert until_told(EventName.PHASE_ACCEPTED, phase_resource("baseline"), verdict="PASS")["summary"]


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
    until_told(EventName.BUNDLE_PROMOTED, ABOUT_IT, version=winner, replaced="1", reason="it is better")


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
    with pytest.raises(PromotionRefused, match="not promoted") as refused:
        promotion(PromotionRequest(model=MODEL, candidate=loser))
    assert aliases_of(MODEL).champion == winner
    until_told(EventName.PROMOTION_REFUSED, ABOUT_IT, action="promotion", why=str(refused.value))


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
    with tampered(mlflow_folder, "1"), pytest.raises(PromotionRefused, match="damaged in the registry") as refused:
        rollback(RollbackRequest(model=MODEL, reason="a test of damage"))
    assert aliases_of(MODEL).champion == winner
    until_told(EventName.PROMOTION_REFUSED, ABOUT_IT, action="rollback", why=str(refused.value))


def test_a_champion_that_was_changed_is_not_loaded(winner, mlflow_folder):
    with tampered(mlflow_folder, winner), pytest.raises(BundleError, match=r"thresholds\.json"):
        mlflow.pyfunc.load_model(f"models:/{MODEL}@champion")


def test_a_rollback_puts_the_previous_champion_back(environment, winner):
    code, output = stage1(environment, "rollback", MODEL, "--reason", "false alarms")
    assert code == 0, output
    assert aliases_of(MODEL).champion == "1"
    assert aliases_of(MODEL).previous is None
    assert MlflowClient().get_model_version(MODEL, winner).tags[ROLLED_BACK_BECAUSE] == "false alarms"
    until_told(EventName.BUNDLE_ROLLED_BACK, ABOUT_IT, version="1", replaced=winner, reason="false alarms")
    code, output = stage1(environment, "registry", MODEL)
    assert code == 0
    assert "false alarms" in " ".join(output.split())


def test_a_promotion_first_takes_back_what_a_killed_one_began(environment, winner, config):
    (loser,) = {"2", "3"} - {winner}
    words = ("promote", MODEL, "--candidate", loser, "--config", config, *APPROVED)
    killed(environment, *words)
    assert (aliases_of(MODEL).champion, aliases_of(MODEL).previous) == ("1", "1")
    code, output = stage1(environment, *words)
    assert code == 0, output
    assert "an interrupted promote was taken back" in output
    assert (aliases_of(MODEL).champion, aliases_of(MODEL).previous) == (loser, "1")
    assert INTENT_TAG not in registered()
    until_told(EventName.PROMOTION_REPAIRED, ABOUT_IT, action="promote", outcome="revert", champion="1")
    until_told(EventName.BUNDLE_PROMOTED, ABOUT_IT, version=loser, replaced="1")


def test_a_repair_finishes_a_killed_rollback_and_finds_nothing_the_second_time(environment, winner):
    (loser,) = {"2", "3"} - {winner}
    assert aliases_of(MODEL).champion == loser
    killed(environment, "rollback", MODEL, "--reason", "it sees ghosts")
    assert INTENT_TAG in registered()
    code, output = stage1(environment, "repair", MODEL)
    assert code == 0, output
    assert f"{MODEL}: an interrupted roll_back was finished; now " in output
    assert (aliases_of(MODEL).champion, aliases_of(MODEL).previous) == ("1", None)
    assert MlflowClient().get_model_version(MODEL, loser).tags[ROLLED_BACK_BECAUSE] == "it sees ghosts"
    assert INTENT_TAG not in registered()
    until_told(EventName.PROMOTION_REPAIRED, ABOUT_IT, action="roll_back", outcome="finish", champion="1")
    assert repair(RepairRequest(model=MODEL), return_state=True).name == "NothingToDo"


def test_what_a_repair_cannot_end_is_abandoned(environment):
    model, (promote, _) = "moved-by-hand", SCENARIOS
    make_model(model)
    reset(model, promote.noted)
    MlflowClient().set_registered_model_tag(model, INTENT_TAG, move_of(promote, model).model_dump_json())
    MlflowClient().set_registered_model_alias(model, "champion", "1")
    with pytest.raises(PromotionConflict, match="somebody else moved one"):
        repair(RepairRequest(model=model))
    code, output = stage1(environment, "repair", model, "--abandon")
    assert code == 0, output
    assert f"{model}: an interrupted promote was forgotten; now " in output
    assert aliases_of(model) == BEFORE.model_copy(update={"champion": "1"})
    until_told(EventName.PROMOTION_REPAIRED, model_resource(model), action="promote", outcome="abandon", champion="1")
