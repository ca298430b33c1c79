"""The command line in this process, and what it is given."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from stage1_core.bundle.release import release_bundle
from stage1_core.phases.baseline import BaselineConfig
from tests.bundle.toys import LONG_AGO, toy_contents
from tests.integration.toys import draw_pictures, toy_config


class Outcome(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Stage1Command = Callable[..., Outcome]


@pytest.fixture
def stage1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Stage1Command:
    """Call it with words to run `stage1 <words>` with a workspace of the test's own."""
    from stage1_cli.app import main

    monkeypatch.setenv("STAGE1_DEBUG", "")
    monkeypatch.setenv("STAGE1_ARTIFACTS", str(tmp_path / "workspace"))
    monkeypatch.setenv("PREFECT_RESULTS_LOCAL_STORAGE_PATH", str(tmp_path / "workspace" / "results"))
    monkeypatch.setenv("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "90")

    def run(*words: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["stage1", *map(str, words)])
        capsys.readouterr()
        code: object = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        out, err = capsys.readouterr()
        return Outcome(code if isinstance(code, int) else 0, out, err)

    return run


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures with labels; never changed by a test."""
    return draw_pictures(tmp_path_factory.mktemp("cli") / "pictures", 160)


@pytest.fixture
def config(drawn: Path) -> BaselineConfig:
    return toy_config(drawn)


@pytest.fixture
def write_config(tmp_path: Path) -> Callable[[BaselineConfig], Path]:
    def write(config: BaselineConfig) -> Path:
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(config.model_dump(mode="json")))
        return path

    return write


@pytest.fixture
def config_file(config: BaselineConfig, write_config: Callable[[BaselineConfig], Path]) -> Path:
    return write_config(config)


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle; never changed by a test. Its pictures lie in ``../run/pictures``."""
    place = tmp_path_factory.mktemp("cli-bundle")
    (place / "run").mkdir()
    release_bundle(toy_contents(place / "run"), place / "bundle", created_at=LONG_AGO)
    return place / "bundle"


@pytest.fixture
def tampered(released: Path, tmp_path: Path) -> Path:
    """The bundle with another threshold."""
    bundle = Path(shutil.copytree(released, tmp_path / "tampered"))
    policy = bundle / "thresholds.json"
    policy.write_text(policy.read_text().replace('"exit_threshold": 0.', '"exit_threshold": 0.5'))
    return bundle
