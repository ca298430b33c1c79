"""What a step's cache key sees, when a step is tried again, and that a gate's answer is never re-used."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from prefect import flow

import tasks._task
from stage1_core.bundle.artifact import ArtifactKind, ArtifactRef
from stage1_core.config import FrozenModel
from stage1_core.errors import DataError, PhaseRejected
from stage1_core.splits import Purpose
from tasks._task import effect, gate, task
from tasks._workspace import store
from tasks.runs import RunRef

CALLS: list[str] = []
"""What ran, in order; emptied before each test."""


class Settings(FrozenModel):
    """Stands for a step's configuration."""

    rate: float = 0.1
    nested: tuple[Purpose, ...] = (Purpose.FIT_WEIGHTS,)


@task
def make(settings: Settings, given: list[ArtifactRef], run: RunRef) -> ArtifactRef:
    """A step with every kind of input."""
    CALLS.append("make")
    return store().put_file(ArtifactKind.METRICS, "made.json", settings, inputs=given)


@task
def fail_once(marker: Path) -> int:
    """Trouble that passes by itself."""
    CALLS.append("fail_once")
    if not marker.exists():
        marker.touch()
        raise OSError("the network is away")
    return 1


@task
def refuse(kind: str) -> None:
    """Trouble that does not."""
    CALLS.append("refuse")
    raise {"data": DataError, "missing": FileNotFoundError, "forbidden": PermissionError}[kind]("no")


@effect
def report() -> None:
    """Runs every time."""
    CALLS.append("report")


@gate
def judge(accepted: bool) -> None:
    """Halts or not."""
    CALLS.append("judge")
    if not accepted:
        raise PhaseRejected("not good enough", {"verdict": "FAIL"})


@flow
def once(step, *arguments):
    """One step, and the name of the state in which it ended."""
    return step(*arguments, return_state=True).name


run_of_today = RunRef(run_id="20260102_030405", mlflow_run_id="a")
run_of_tomorrow = RunRef(run_id="20260103_030405", mlflow_run_id="b")


@pytest.fixture(autouse=True)
def calls(workspace):
    CALLS.clear()
    return CALLS


def stored(name: str, content: bytes) -> ArtifactRef:
    return store().put_file(ArtifactKind.METRICS, name, content)


class TestKey:
    def test_the_same_step_in_another_run_is_found(self, calls):
        given = [stored("a.txt", b"a")]
        assert once(make, Settings(), given, run_of_today) == "Completed"
        assert once(make, Settings(), given, run_of_tomorrow) == "Cached"
        assert calls == ["make"]

    @pytest.mark.parametrize("changed", [Settings(rate=0.2), Settings(nested=(Purpose.SELECT_MODEL,))], ids=str)
    def test_another_configuration_is_another_step(self, calls, changed):
        once(make, Settings(), [], run_of_today)
        assert once(make, changed, [], run_of_today) == "Completed"

    def test_inputs_count_by_content_and_not_by_lineage(self, calls):
        first, other = stored("a.txt", b"a"), stored("a.txt", b"b")
        once(make, Settings(), [first], run_of_today)
        assert once(make, Settings(), [other], run_of_today) == "Completed"
        assert once(make, Settings(), [first.model_copy(update={"inputs": (other.sha256,)})], run_of_today) == "Cached"

    def test_other_code_or_libraries_are_another_step(self, calls, monkeypatch):
        once(make, Settings(), [], run_of_today)
        tasks._task._code_digest.cache_clear()
        with monkeypatch.context() as patch:
            patch.setattr(tasks._task, "library_digest", lambda: "f" * 64)
            assert once(make, Settings(), [], run_of_today) == "Completed"
        tasks._task._code_digest.cache_clear()
        assert once(make, Settings(), [], run_of_today) == "Cached"

    def test_another_step_with_the_same_inputs_is_another_step(self, calls):
        twin = task(lambda settings, given, run: calls.append("twin"))
        once(make, Settings(), [], run_of_today)
        assert once(twin, Settings(), [], run_of_today) == "Completed"

    def test_a_result_whose_file_was_changed_is_made_again(self, calls):
        once(make, Settings(), [], run_of_today)
        (file,) = store().root.glob("metrics/*/made.json")
        file.write_text(file.read_text().replace("0.1", "0.9"))
        assert once(make, Settings(), [], run_of_today) == "Completed"
        assert once(make, Settings(), [], run_of_today) == "Cached"
        assert calls == ["make", "make"]


class TestTryingAgain:
    def test_trouble_with_files_or_networks_is_tried_again(self, calls, tmp_path):
        assert once(fail_once.with_options(retry_delay_seconds=0), tmp_path / "marker") == "Completed"
        assert calls == ["fail_once", "fail_once"]

    @pytest.mark.parametrize("error", [httpx.ConnectError("refused"), ConnectionResetError()])
    @pytest.mark.parametrize("kind", [task, effect])
    def test_a_server_that_is_away_is_asked_again(self, calls, kind, error):
        def ask() -> str:
            calls.append("ask")
            if len(calls) == 1:
                raise error
            return "answer"

        assert once(kind(ask).with_options(retry_delay_seconds=0)) == "Completed"
        assert calls == ["ask", "ask"]

    @pytest.mark.parametrize("kind", ["data", "missing", "forbidden"])
    def test_what_somebody_must_repair_is_not(self, calls, kind):
        assert flow(lambda: refuse(kind), name="refused")(return_state=True).is_failed()
        assert calls == ["refuse"]


class TestWithoutCache:
    def test_an_effect_runs_every_time(self, calls):
        assert [once(report), once(report)] == ["Completed"] * 2
        assert calls == ["report", "report"]

    def test_a_gate_is_asked_every_time_and_never_tried_again(self, calls):
        assert judge.retries == 0
        assert [once(judge, True), once(judge, True)] == ["Completed"] * 2
        assert flow(lambda: judge(False), name="judged")(return_state=True).is_failed()
        assert calls == ["judge"] * 3
