"""One released bundle for the whole session, and copies of it to spoil."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from stage1_core.bundle.contents import BundleContents
from stage1_core.bundle.release import release_bundle
from tests.bundle.toys import LONG_AGO, gated_contents, gated_scrc_contents, toy_contents


@pytest.fixture(scope="session")
def contents(tmp_path_factory) -> BundleContents:
    return toy_contents(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="session")
def pictures(contents) -> list[Path]:
    return [candidate.path for candidate in contents.golden_candidates]


@pytest.fixture(scope="session")
def released(contents, tmp_path_factory) -> Path:
    """The bundle; never changed by a test."""
    folder = tmp_path_factory.mktemp("released") / "bundle"
    release_bundle(contents, folder, created_at=LONG_AGO)
    return folder


@pytest.fixture(scope="session")
def gate_contents(tmp_path_factory) -> BundleContents:
    return gated_contents(tmp_path_factory.mktemp("gated_run"))


@pytest.fixture(scope="session")
def gate_released(gate_contents, tmp_path_factory) -> Path:
    """A bundle with a gate policy and stage B; never changed by a test."""
    folder = tmp_path_factory.mktemp("gate_released") / "bundle"
    release_bundle(gate_contents, folder, created_at=LONG_AGO)
    return folder


@pytest.fixture(scope="session")
def scrc_contents(tmp_path_factory) -> BundleContents:
    return gated_scrc_contents(tmp_path_factory.mktemp("scrc_run"))


@pytest.fixture(scope="session")
def scrc_released(scrc_contents, tmp_path_factory) -> Path:
    """A bundle with an SCRC policy that selects by the gate; never changed by a test."""
    folder = tmp_path_factory.mktemp("scrc_released") / "bundle"
    release_bundle(scrc_contents, folder, created_at=LONG_AGO)
    return folder


@pytest.fixture
def bundle(released, tmp_path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(released, tmp_path / "bundle"))
