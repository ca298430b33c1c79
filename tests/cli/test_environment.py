"""Where a local run keeps what Prefect and MLflow write."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import json, os
from stage1_cli._environment import prepare_environment
place = prepare_environment()
print(json.dumps({"place": str(place), **{name: os.environ.get(name) for name in os.environ}}))
"""


def environment(folder: Path, **given: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    made = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=folder, env=kept | {"PYTHONPATH": str(ROOT)} | given, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(made.stdout)


def test_everything_lies_below_the_workspace(tmp_path):
    found = environment(tmp_path)
    workspace = tmp_path / "artifacts"
    assert found["place"] == found["STAGE1_ARTIFACTS"] == str(workspace)
    assert found["PREFECT_HOME"] == str(workspace / "prefect")
    assert found["PREFECT_RESULTS_LOCAL_STORAGE_PATH"] == str(workspace / "prefect" / "results")
    assert found["MLFLOW_TRACKING_URI"] == f"sqlite:///{workspace / 'mlflow.db'}"


@pytest.mark.parametrize("name", ["PREFECT_API_URL", "PREFECT_PROFILE", "PREFECT_HOME"])
def test_a_prefect_that_the_user_named_is_left_alone(tmp_path, name):
    found = environment(tmp_path, **{name: "mine"})
    assert found[name] == "mine"
    assert "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE" not in found
    assert not {"PREFECT_API_URL", "PREFECT_PROFILE", "PREFECT_HOME"} - {name} & found.keys()


def test_what_the_user_set_is_kept(tmp_path):
    given = {"STAGE1_ARTIFACTS": str(tmp_path / "elsewhere"), "MLFLOW_TRACKING_URI": "http://mlflow:5000"}
    found = environment(tmp_path, **given)
    assert found.items() >= given.items()
    assert found["PREFECT_HOME"] == str(tmp_path / "elsewhere" / "prefect")


def test_a_relative_workspace_is_the_same_for_every_part(tmp_path):
    found = environment(tmp_path, STAGE1_ARTIFACTS="here")
    assert found["place"] == str(tmp_path / "here")
    assert found["MLFLOW_TRACKING_URI"] == f"sqlite:///{tmp_path / 'here' / 'mlflow.db'}"
