"""`stage1 promote`, `stage1 rollback`, `stage1 repair`, `stage1 registry`. Real promotions are made in tests/live."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient

from tasks.registry_versions import APPROVER, CERTIFICATE_TAG, DIGEST_TAG, PROMOTED_AT, REASON, REPLACED, ROLLED_BACK_AT


@pytest.fixture
def registry(tmp_path: Path, empty_tracking_store: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """A registry of the test's own with model toy: version 1 was replaced by version 2, which was rolled back."""
    store = tmp_path / "mlflow.db"
    store.write_bytes(empty_tracking_store.read_bytes())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}")
    monkeypatch.setenv("COLUMNS", "200")
    client = MlflowClient(f"sqlite:///{store}")
    client.create_registered_model("toy")
    decided = {
        PROMOTED_AT: "2001-02-03",
        REPLACED: "1",
        APPROVER: "A. Tester",
        REASON: "[better]",
        ROLLED_BACK_AT: "2002",
    }
    for tags in ({CERTIFICATE_TAG: "misses 1 %", DIGEST_TAG: "a" * 64}, decided):
        client.create_model_version("toy", "s3://nowhere/model", tags=tags)
    client.set_registered_model_alias("toy", "champion", "1")
    return client


def test_the_registry_is_one_table(stage1, registry):
    code, out, err = stage1("registry", "toy")
    assert (code, err) == (0, "")
    rows = [line for line in out.splitlines() if line.startswith("│")]
    assert [row.split()[1] for row in rows if row.split()[1].isdigit()] == ["2", "1"]
    assert "promoted 2001-02-03 in place of 1 by A. Tester: [better]" in out
    assert "rolled back 2002" in out
    assert "champion" in rows[-1]
    assert "misses 1 %" in rows[-1]
    assert "aaaaaaaaaaaa " in rows[-1]


def test_a_model_that_was_never_released_is_an_error(stage1, registry):
    code, _, err = stage1("registry", "absent")
    assert code == 2
    assert "no model 'absent'" in err


@pytest.mark.parametrize(
    ("options", "complaint"),
    [((), "nobody can be asked"), (("--yes",), "--approver"), (("--yes", "--approver", "A. Tester"), "--reason")],
)
def test_nothing_is_looked_at_where_nobody_could_approve(stage1, registry, options, complaint):
    code, _, err = stage1("promote", "toy", *options)
    assert code == 2
    assert complaint in err
    assert "stage1.evidence" not in registry.get_model_version("toy", "2").tags


@pytest.mark.parametrize("words", [("--candidate", "newest"), ("--expect-champion", "best")])
def test_a_version_that_is_none_is_an_error(stage1, registry, words):
    code, _, err = stage1("promote", "toy", "--yes", "--approver", "A. Tester", "--reason", "a test", *words)
    assert code == 2
    assert words[1] in err


def test_a_rollback_says_why(stage1, registry):
    assert stage1("rollback", "toy").code == 2
    code, _, err = stage1("rollback", "toy", "--reason", " ")
    assert code == 2
    assert "reason" in err
