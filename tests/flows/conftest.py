"""A run that cannot be accepted, made once for all tests of this folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from prefect.client.schemas.objects import State

from flows.baseline import baseline
from stage1_core.phases.baseline import BaselineConfig
from stage1_core.policy.constraint import RiskConstraint
from tests.conftest import working_in
from tests.integration.toys import draw_pictures, toy_config


class RejectedRun(NamedTuple):
    """A run whose constraint asks for more exited positives than there are pictures."""

    workspace: Path
    config: BaselineConfig
    state: State[None]


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory, prefect_api: None, empty_tracking_store: Path) -> RejectedRun:
    place = tmp_path_factory.mktemp("rejected")
    folder = place / "workspace"
    folder.mkdir()
    shutil.copy(empty_tracking_store, folder / "mlflow.db")
    config = toy_config(draw_pictures(place / "pictures"), constraint=RiskConstraint(max_risk=0.01))
    with working_in(folder):
        return RejectedRun(folder, config, baseline(config, return_state=True))


@pytest.fixture
def rejected(first_run: RejectedRun) -> Iterator[RejectedRun]:
    with working_in(first_run.workspace):
        yield first_run
