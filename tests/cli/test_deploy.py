"""`stage1 deploy` without a server: what it refuses, and what it shows."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.changes import Change
from deployments.config import DeployConfig, FromFile
from deployments.recipes import ladder_demo
from tests.live.servers import free_port


def test_what_is_shown_is_the_whole_configuration(stage1, tmp_path):
    code, out, err = stage1("deploy", "--show")
    assert (code, err) == (0, "")
    assert DeployConfig.model_validate(yaml.safe_load(out)) == DeployConfig()
    path = tmp_path / "deploy.yaml"
    path.write_text("gpus: 2\nretraining: {scheduled: false}\n")
    shown = DeployConfig.model_validate(yaml.safe_load(stage1("deploy", "--config", path, "--show").out))
    assert (shown.gpus, shown.retraining.scheduled, shown.retraining.cron) == (2, False, "0 3 * * 1")


@pytest.fixture
def accepting(monkeypatch) -> None:
    """A server that has everything already; `apply` itself is tried on a real one, in tests/live."""
    unchanged = [Change(kind="pool", name="gpu", outcome="unchanged")]
    monkeypatch.setattr("deployments.apply.require_server", lambda: None)
    monkeypatch.setattr("deployments.apply.apply", lambda wanted, **_: unchanged)


def shown(stage1) -> DeployConfig:
    """What `stage1 deploy` would apply."""
    return DeployConfig.model_validate(yaml.safe_load(stage1("deploy", "--show").out))


def test_what_was_applied_last_is_applied_again(stage1, tmp_path, accepting):
    path, kept = tmp_path / "mine.yaml", tmp_path / "workspace" / "deploy.yaml"
    assert stage1("deploy").out.endswith("configuration: the defaults\n")
    path.write_text("gpus: 2\npromotion: {approval: {kind: automatic}}\n")
    stage1("deploy", "--config", path, "--dry-run")
    assert shown(stage1) == DeployConfig()
    assert stage1("deploy", "--config", path).out.endswith(f"kept for the next time as {kept}\n")
    expected = DeployConfig.model_validate(yaml.safe_load(path.read_text()))
    path.unlink()
    assert shown(stage1) == expected
    assert stage1("deploy").out.endswith(f"configuration: {kept}\n")
    assert yaml.safe_load(kept.read_text()) == {"gpus": 2, "promotion": {"approval": {"kind": "automatic"}}}


def test_a_ladder_of_ones_own_is_found_from_another_folder(stage1, tmp_path, accepting, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("ladder.yaml").write_text(yaml.safe_dump(ladder_demo().model_dump(mode="json")))
    Path("mine.yaml").write_text("retraining: {ladder: {kind: file, path: ladder.yaml}}\n")
    assert stage1("deploy", "--config", "mine.yaml").code == 0
    monkeypatch.chdir("/")
    assert shown(stage1).retraining.ladder == FromFile(path=tmp_path / "ladder.yaml")
    assert stage1("deploy").code == 0


def test_a_wrong_field_is_one_line_that_names_it(stage1, tmp_path):
    path = tmp_path / "deploy.yaml"
    path.write_text("monitoring: {cron: often}\n")
    code, out, err = stage1("deploy", "--config", path)
    assert (code, out) == (2, "")
    (line,) = err.strip().splitlines()
    assert line.startswith(f"stage1: {path}: monitoring.cron: ")


def test_no_server_is_started_when_none_is_named(stage1):
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        code, out, err = stage1("deploy")
    assert (code, out) == (2, "")
    assert err.strip() == "stage1: no Prefect server is named; set PREFECT_API_URL, like http://127.0.0.1:4200/api"


def test_a_server_that_does_not_answer_is_named(stage1):
    address = f"http://127.0.0.1:{free_port()}/api"
    with temporary_settings(updates={PREFECT_API_URL: address}):
        code, out, err = stage1("deploy", "--dry-run")
    assert (code, out) == (2, "")
    assert err.startswith(f"stage1: no Prefect server answers at {address}: ")


def test_the_list_is_aligned_and_counted(capsys):
    from stage1_cli.deploy import _print

    changes = [
        Change(kind="pool", name="gpu", outcome="updated", what=("description", "concurrency_limit")),
        Change(kind="deployment", name="gate/gate", outcome="unchanged"),
        Change(kind="automation", name="stage1: other", outcome="stale"),
    ]
    _print(changes, dry_run=True)
    assert capsys.readouterr().out.splitlines() == [
        "updated    pool        gpu            description, concurrency_limit",
        "unchanged  deployment  gate/gate",
        "stale      automation  stage1: other",
        "",
        "1 updated, 1 unchanged, 1 stale; nothing was written",
        "stale: on the server and not described any more; `stage1 deploy --prune` removes these",
    ]
