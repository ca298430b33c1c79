"""`stage1 deploy` without a server: what it refuses, and what it shows."""

from __future__ import annotations

import yaml
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.changes import Change
from deployments.config import DeployConfig
from tests.live.servers import free_port


def test_what_is_shown_is_the_whole_configuration(stage1, tmp_path):
    code, out, err = stage1("deploy", "--show")
    assert (code, err) == (0, "")
    assert DeployConfig.model_validate(yaml.safe_load(out)) == DeployConfig()
    path = tmp_path / "deploy.yaml"
    path.write_text("gpus: 2\nretraining: {scheduled: false}\n")
    shown = DeployConfig.model_validate(yaml.safe_load(stage1("deploy", "--config", path, "--show").out))
    assert (shown.gpus, shown.retraining.scheduled, shown.retraining.cron) == (2, False, "0 3 * * 1")


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
