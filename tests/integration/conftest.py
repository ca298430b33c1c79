"""One released run for all tests of this folder, and copies of its workspace to change."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import prefect
import pytest
from prefect.client.schemas.objects import State

from flows.baseline import baseline
from flows.gate import gate
from stage1_core.phases.baseline import BaselineConfig
from stage1_core.phases.gate import GateConfig
from stage1_core.policy import SoftmaxPolicyConfig
from stage1_core.policy.softmax import FixedGrid
from tasks.phase import ReleasedPhase
from tests.conftest import working_in
from tests.integration.toys import draw_pictures, three_phases, toy_config


class FinishedRun(NamedTuple):
    """A released run and where it lies."""

    workspace: Path
    config: BaselineConfig
    flow_run_id: UUID
    released: ReleasedPhase


class ThreePhases(NamedTuple):
    """A run of the gate and where it lies."""

    workspace: Path
    config: GateConfig
    state: State[Any]

    @property
    def released(self) -> ReleasedPhase:
        return self.state.result()


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory, prefect_api: None, empty_tracking_store: Path) -> FinishedRun:
    """The toy, released."""
    place = tmp_path_factory.mktemp("finished")
    folder = place / "workspace"
    folder.mkdir()
    shutil.copy(empty_tracking_store, folder / "mlflow.db")
    config = toy_config(draw_pictures(place / "pictures"))
    with working_in(folder):
        state = baseline(config, return_state=True)
    return FinishedRun(folder, config, state.state_details.flow_run_id, state.result())


@pytest.fixture
def finished_run(first_run: FinishedRun) -> Iterator[FinishedRun]:
    """The released run. Tests look at it and change nothing."""
    with working_in(first_run.workspace):
        yield first_run


@pytest.fixture
def again(first_run: FinishedRun, tmp_path: Path) -> Iterator[FinishedRun]:
    """A copy of the workspace, in which the run can be repeated after something was changed."""
    folder = shutil.copytree(first_run.workspace, tmp_path / "workspace", symlinks=True)
    with working_in(folder):
        yield first_run._replace(workspace=folder)


@pytest.fixture(scope="session")
def run_once(
    tmp_path_factory: pytest.TempPathFactory, prefect_api: None, empty_tracking_store: Path
) -> Callable[[SoftmaxPolicyConfig], ThreePhases]:
    place = tmp_path_factory.mktemp("gate")
    pictures = draw_pictures(place / "pictures", 600, faint=0.2)

    def run(softmax: SoftmaxPolicyConfig) -> ThreePhases:
        """In a workspace of its own."""
        folder = place / softmax.digest()[:8]
        folder.mkdir()
        shutil.copy(empty_tracking_store, folder / "mlflow.db")
        config = three_phases(pictures, softmax=softmax)
        with working_in(folder):
            return ThreePhases(folder, config, gate(config, return_state=True))

    return run


@pytest.fixture(scope="session")
def better_gate(run_once) -> ThreePhases:
    """Over an incumbent that may only use a threshold far stricter than needed."""
    return run_once(SoftmaxPolicyConfig(grid=FixedGrid(thresholds=(0.84,))))


@pytest.fixture
def gate_again(better_gate: ThreePhases, tmp_path: Path) -> Iterator[ThreePhases]:
    """A copy of the workspace of an adopted gate, in which the run can be repeated after something was changed."""
    folder = shutil.copytree(better_gate.workspace, tmp_path / "workspace", symlinks=True)
    with working_in(folder):
        yield better_gate._replace(workspace=folder)


@pytest.fixture
def picture(first_run: FinishedRun) -> Iterator[Path]:
    """A picture without roadwork that a test may change; it is put back."""
    path = first_run.workspace.parent / "pictures" / "images" / "0000.png"
    content, status = path.read_bytes(), path.stat()
    yield path
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.fixture
def step_states(monkeypatch: pytest.MonkeyPatch) -> Mapping[str, list[str]]:
    """By name of the step, how its runs ended, filled while the test goes on."""
    seen: dict[str, list[str]] = defaultdict(list)
    import flows._adoption
    import flows._challenge
    import flows._conclusion
    import flows._heads
    import flows.baseline
    import flows.conformal
    import flows.domain_adaptation
    import flows.gate
    import flows.selective_evaluation
    import flows.sharpness

    modules = (
        flows._adoption,
        flows._challenge,
        flows._conclusion,
        flows._heads,
        flows.baseline,
        flows.conformal,
        flows.domain_adaptation,
        flows.gate,
        flows.selective_evaluation,
        flows.sharpness,
    )
    for step in [step for module in modules for step in vars(module).values()]:
        if isinstance(step, prefect.Task):
            monkeypatch.setattr(
                step, "on_completion_hooks", [lambda task, _run, state: seen[task.name].append(state.name)]
            )
    return seen
