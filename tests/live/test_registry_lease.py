"""Movers of aliases in different workspaces, whom only the server keeps apart. Takes a minute and a half."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL

from stage1_core.errors import Stage1Error
from tasks import registry_lease as lease
from tests.live.holding import holder_of
from tests.live.servers import clean_environment

MODEL = "leased"


@pytest.fixture
def elsewhere(tmp_path: Path, on_the_server: None, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a process that shares nothing but the server with this one."""
    monkeypatch.setenv("STAGE1_ARTIFACTS", str(tmp_path / "here"))
    folders = {"STAGE1_ARTIFACTS": str(tmp_path / "there"), "PREFECT_HOME": str(tmp_path / "home")}
    return clean_environment(**folders, PREFECT_API_URL=PREFECT_API_URL.value())


def test_one_mover_at_a_time_and_a_killed_one_blocks_the_others_for_about_a_minute(elsewhere, monkeypatch):
    with holder_of(MODEL, elsewhere) as holder:
        with monkeypatch.context() as patch:
            patch.setattr(lease, "SECONDS_TO_WAIT", 2.0)
            advice = f"somebody else has been moving .*`prefect gcl update {lease.lease_name(MODEL)}"
            with pytest.raises(Stage1Error, match=advice), lease.registry_lease(MODEL):
                pytest.fail("two hold it")
        holder.kill()
        killed = time.monotonic()
        with lease.registry_lease(MODEL):
            assert time.monotonic() - killed < lease.LEASE_SECONDS + 30
