"""Movers of aliases without a Prefect server; those with one are in `tests/live/test_registry_lease.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from stage1_core.errors import Stage1Error
from tasks import registry_lease as lease
from tests.live.holding import holder_of
from tests.live.servers import clean_environment

MODEL = "a model/of ours"


@pytest.fixture
def no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The environment of a process that names no server."""
    monkeypatch.setenv("STAGE1_ARTIFACTS", str(tmp_path))
    monkeypatch.setattr(lease, "SECONDS_TO_WAIT", 0.5)
    with temporary_settings(updates={PREFECT_API_URL: None}):
        yield clean_environment(PREFECT_HOME=str(tmp_path / "home"))


def test_a_second_mover_of_the_workspace_is_refused_while_the_first_lives(no_server):
    with (
        holder_of(MODEL, no_server),
        pytest.raises(Stage1Error, match=r"somebody else has been moving .* try again later$"),
        lease.registry_lease(MODEL),
    ):
        pytest.fail("two hold it")


def test_a_killed_mover_holds_up_nobody(no_server):
    with holder_of(MODEL, no_server) as holder:
        holder.kill()
        with lease.registry_lease(MODEL):
            pass


def test_another_model_is_nobodys_business(no_server):
    with holder_of(MODEL, no_server), lease.registry_lease("another"):
        pass
