"""`stage1 doctor` names what is there and what is missing, and shows no password."""

from __future__ import annotations

import pytest

UNREACHABLE = "127.0.0.1:9"


@pytest.fixture(scope="module")
def lines():
    """What the doctor says about a machine whose Prefect server is away and whose MLflow has passwords."""
    from stage1_cli.doctor import _findings

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_API_URL", f"http://{UNREACHABLE}/api")
        patch.setenv("MLFLOW_TRACKING_URI", "postgresql://someone:secret@database:5432/mlflow")
        patch.setenv("STAGE1_ARTIFACTS", "artifacts")
        return {finding.name: finding for finding in _findings()}


def test_installed_libraries_have_their_version(lines):
    import torch

    assert lines["torch"].good
    assert lines["torch"].text == torch.__version__.split("+")[0] or lines["torch"].text == torch.__version__
    assert lines["Prefect's server code"].good


def test_the_device_is_named(lines):
    assert lines["device"].good
    assert lines["device"].text.startswith(("cpu", "cuda"))


def test_a_server_that_does_not_answer_is_missing(lines):
    assert not lines["Prefect server"].good
    assert f"http://{UNREACHABLE}/api does not answer" in lines["Prefect server"].text


def test_passwords_are_not_shown(lines):
    assert "postgresql://database:5432/mlflow" in lines["MLflow server"].text
    assert not any("secret" in finding.text for finding in lines.values())


def test_something_missing_is_the_exit_code(stage1, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", f"http://{UNREACHABLE}/api")
    code, out, _ = stage1("doctor")
    assert code == 2
    assert f"MISS  Prefect server: http://{UNREACHABLE}/api does not answer" in out
    assert "ok    stage1: " in out
