"""`stage1 run` is killed in the middle and started again: it ends as if nothing had happened."""

from __future__ import annotations

import os
import shutil
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
from prefect.settings import PREFECT_API_URL

from stage1_core.bundle.artifact import ArtifactKind, ArtifactRef
from stage1_core.bundle.store import ArtifactStore, StoredTree
from stage1_core.bundle.verify import verify_bundle
from stage1_core.config import FrozenModel
from stage1_core.data.access_log import AccessLog
from stage1_core.metrics.bootstrap import BootstrapConfig
from stage1_core.policy import SoftmaxPolicyConfig
from stage1_core.policy.softmax import FixedGrid
from tests.integration.toys import draw_pictures, three_phases, toy_config, toy_training

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
EPOCHS = 150
SECONDS = 240
"""A run takes some 30 seconds, most of them for the servers; a loaded machine is slower."""


class Place(NamedTuple):
    """A workspace and the configuration that runs in it."""

    folder: Path
    config: Path
    phase: str = "baseline"
    server: str | None = None
    """URL of a Prefect server that outlives the run; without, each run starts one of its own."""

    def start(self) -> subprocess.Popen[str]:
        """`stage1 run`, with an MLflow database of its own, in its own process group."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT", "MLFLOW"))}
        own = {"STAGE1_ARTIFACTS": str(self.folder), "OMP_NUM_THREADS": "1"}
        if self.server is not None:
            own |= {"PREFECT_API_URL": self.server, "PREFECT_HOME": str(self.folder / "prefect")}
        program = "from stage1_cli.app import main; main()"
        return subprocess.Popen(
            [sys.executable, "-c", program, "run", self.phase, "--config", str(self.config)],
            cwd=ROOT, env=kept | own, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip

    def finish(self) -> None:
        with self.finished_meanwhile():
            pass

    @contextmanager
    def finished_meanwhile(self) -> Iterator[None]:
        """The run begins with the block and must be over, without an error, at its end."""
        with self.start() as process, remains_killed(process):
            yield
            _, errors = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, errors[-4000:]

    @contextmanager
    def killed_when(self, reached: Callable[[], bool]) -> Iterator[None]:
        """SIGKILL to the run alone, once ``reached``. Its Prefect server is an orphan until the block ends."""
        with self.start() as process, remains_killed(process):
            deadline = time.monotonic() + SECONDS
            while not reached() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.005)
            unfinished = process.poll() is None
            process.kill()
            process.wait(timeout=30)
            process.stderr.close()
            assert unfinished, "the run was over before it could be killed"
            assert reached()
            yield

    def files(self, pattern: str) -> list[Path]:
        return sorted(self.folder.glob(pattern))

    def contents(self, pattern: str) -> set[bytes]:
        """What the files hold, one for each phase."""
        files = self.files(pattern)
        assert files
        return {file.read_bytes() for file in files}

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


def written(config: FrozenModel, path: Path) -> Path:
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    return path


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("killed")
    pictures = draw_pictures(place / "pictures")
    return written(toy_config(pictures, training=toy_training(epochs=EPOCHS)), place / "config.yaml")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, config) -> Place:
    place = Place(tmp_path_factory.mktemp("undisturbed"), config)
    place.finish()
    return place


@pytest.fixture
def place(tmp_path, config) -> Place:
    return Place(tmp_path / "workspace", config)


def require_whole(place: Place, undisturbed: Place) -> None:
    """Same heads, same policies, each look counted once, and no half of anything."""
    for pattern in ("store/head/*/head.safetensors", "store/policy/*/policy.json", "store/ledger/*/splits.json"):
        assert place.contents(pattern) == undisturbed.contents(pattern), pattern
    assert place.looks() == undisturbed.looks()
    store = ArtifactStore(place.folder / "store")
    for manifest in place.files("store/*/*.json"):
        kind, digest = ArtifactKind(manifest.parent.name), StoredTree.from_json_file(manifest).sha256
        assert store.intact(ArtifactRef(kind=kind, path=f"{kind}/{manifest.stem}", sha256=digest), check_content=True)
        assert len(place.files(f"store/{kind}/*.json")) == len(undisturbed.files(f"store/{kind}/*.json"))
    folders = {path for path in place.files("store/*/*") if path.is_dir()} - set(place.files("store/.building/*"))
    assert {folder.name for folder in folders} == {manifest.stem for manifest in place.files("store/*/*.json")}
    assert place.files("checkpoints/*/.draft-*") == []
    bundles = {bundle.resolve() for bundle in place.files("runs/*/bundle")}
    assert len(bundles) == len(place.files("store/bundle/*.json"))
    assert all(verify_bundle(bundle).passed for bundle in bundles)


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


@pytest.fixture(scope="module")
def gate_config(tmp_path_factory) -> Path:
    """A gate that is adopted; each step that is to be killed takes long enough."""
    place = tmp_path_factory.mktemp("killed-gate")
    pictures = draw_pictures(place / "pictures", 600, faint=0.2)
    config = three_phases(pictures, softmax=SoftmaxPolicyConfig(grid=FixedGrid(thresholds=(0.84,))))
    training = config.training.model_copy(update={"epochs": 40})
    comparison = config.comparison.model_copy(update={"bootstrap": BootstrapConfig(level=0.9, resamples=20_000)})
    return written(config.model_copy(update={"training": training, "comparison": comparison}), place / "config.yaml")


def test_a_gate_killed_in_every_part_of_its_phase(tmp_path, gate_config, prefect_api, empty_tracking_store):
    """One workspace is killed four times; each run continues where the one before was killed."""
    place = Place(tmp_path / "workspace", gate_config, "gate", PREFECT_API_URL.value())
    undisturbed = place._replace(folder=tmp_path / "undisturbed")
    for workspace in (place, undisturbed):
        workspace.folder.mkdir()
        shutil.copy(empty_tracking_store, workspace.folder / "mlflow.db")
    folds, comparisons = "checkpoints/*/fold-*.json", "store/comparison/*.json"

    def finished_folds() -> dict[Path, int]:
        return {fold: fold.stat().st_mtime_ns for fold in place.files(folds)}

    with undisturbed.finished_meanwhile():
        with place.killed_when(lambda: bool(place.files(folds))):
            first = finished_folds()
            assert len(first) < 3
        with place.killed_when(
            lambda: any((path.parent / "fold-3.json").exists() for path in place.files("checkpoints/*/epoch-00003"))
        ):
            second = finished_folds()
            assert second.items() > first.items()
            assert len(place.files("store/head/*.json")) == 2
        with place.killed_when(lambda: len(place.files("store/policy/*.json")) == 3):
            assert not place.files(comparisons)
            certified = place.looks()
        with place.killed_when(lambda: bool(place.files(comparisons))):
            assert len(place.files("store/bundle/*.json")) == 2
            assert place.looks()[: len(certified)] == certified == ["certified", "opened"] * 2 + ["certified"]
        place.finish()
    assert finished_folds() == second
    assert place.looks() == ["certified", "opened"] * 3
    for pattern in ("store/comparison/*/comparison.json", "store/evaluation/*/evaluation.json"):
        assert place.contents(pattern) == undisturbed.contents(pattern), pattern
    require_whole(place, undisturbed)
