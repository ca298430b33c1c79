"""`stage1 run` is killed in the middle and started again: it ends as if nothing had happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from stage1_core.bundle.artifact import ArtifactKind, ArtifactRef
from stage1_core.bundle.store import ArtifactStore, StoredTree
from stage1_core.bundle.verify import verify_bundle
from stage1_core.data.access_log import AccessLog
from tests.integration.toys import draw_pictures, toy_config, toy_training

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
EPOCHS = 150
SECONDS = 240
"""A run takes some 30 seconds, most of them for the servers; a loaded machine is slower."""


class Place(NamedTuple):
    """A workspace and the configuration that runs in it."""

    folder: Path
    config: Path

    def start(self) -> subprocess.Popen[str]:
        """`stage1 run baseline`, with a Prefect server and an MLflow database of its own, in its own process group."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT", "MLFLOW"))}
        own = {"STAGE1_ARTIFACTS": str(self.folder), "OMP_NUM_THREADS": "1"}
        program = "from stage1_cli.app import main; main()"
        return subprocess.Popen(
            [sys.executable, "-c", program, "run", "baseline", "--config", str(self.config)],
            cwd=ROOT, env=kept | own, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip

    def finish(self) -> None:
        with self.start() as process, remains_killed(process):
            _, errors = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, errors[-4000:]

    @contextmanager
    def killed_when(self, reached: Callable[[], bool]) -> Iterator[None]:
        """SIGKILL to the run alone, once ``reached``. Its Prefect server is an orphan until the block ends."""
        with self.start() as process, remains_killed(process):
            deadline = time.monotonic() + SECONDS
            while not reached() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.002)
            unfinished = process.poll() is None
            process.kill()
            process.wait(timeout=30)
            process.stderr.close()
            assert unfinished, "the run was over before it could be killed"
            assert reached()
            yield

    def files(self, pattern: str) -> list[Path]:
        return sorted(self.folder.glob(pattern))

    def content(self, pattern: str) -> bytes:
        (file,) = self.files(pattern)
        return file.read_bytes()

    def looks(self) -> list[str]:
        (file,) = self.files("ledgers/*.jsonl")
        return [entry.event for entry in AccessLog(file).entries()]


@contextmanager
def remains_killed(process: subprocess.Popen[str]) -> Iterator[None]:
    """Ends what the process has left in its group."""
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("killed")
    path = place / "config.yaml"
    value = toy_config(draw_pictures(place / "pictures"), training=toy_training(epochs=EPOCHS))
    path.write_text(yaml.safe_dump(value.model_dump(mode="json")))
    return path


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, config) -> Place:
    place = Place(tmp_path_factory.mktemp("undisturbed"), config)
    place.finish()
    return place


@pytest.fixture
def place(tmp_path, config) -> Place:
    return Place(tmp_path / "workspace", config)


def require_whole(place: Place, undisturbed: Place) -> None:
    """Same head, same policy, each look counted once, and no half of anything."""
    for pattern in ("store/head/*/head.safetensors", "store/policy/*/policy.json", "store/ledger/*/splits.json"):
        assert place.content(pattern) == undisturbed.content(pattern), pattern
    assert place.looks() == ["certified", "opened"]
    store = ArtifactStore(place.folder / "store")
    for manifest in place.files("store/*/*.json"):
        kind, digest = ArtifactKind(manifest.parent.name), StoredTree.from_json_file(manifest).sha256
        assert store.intact(ArtifactRef(kind=kind, path=f"{kind}/{manifest.stem}", sha256=digest), check_content=True)
        assert len(place.files(f"store/{kind}/*.json")) <= 2  # predictions of two purposes, else one
    folders = {path for path in place.files("store/*/*") if path.is_dir()} - set(place.files("store/.building/*"))
    assert {folder.name for folder in folders} == {manifest.stem for manifest in place.files("store/*/*.json")}
    assert place.files("checkpoints/*/.draft-*") == []
    (bundle,) = place.files("runs/*/bundle")
    assert verify_bundle(bundle).passed


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param("features/*/index.jsonl", id="extracting features"),
        pytest.param("checkpoints/*/epoch-00003", id="training"),
        pytest.param("ledgers/*.jsonl", id="certifying"),
        pytest.param("store/report/*.json", id="releasing"),
    ],
)
def test_a_run_killed_while(undisturbed, place, pattern):
    with place.killed_when(lambda: bool(place.files(pattern))):
        place.finish()
    require_whole(place, undisturbed)
