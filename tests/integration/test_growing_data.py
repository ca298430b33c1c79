"""A week later there are more pictures: what was placed stays, what was looked at stays counted, the rest is new."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

from flows.baseline import baseline
from stage1_core.data.access_log import AccessLog, summarised
from stage1_core.data.ledger import SplitLedger
from stage1_core.data.split_summary import SplitSummary
from stage1_core.errors import LedgerError
from stage1_core.phases.baseline import BaselineAcceptance
from tasks.data import load_ledger
from tasks.phase import ReleasedPhase
from tests.integration.conftest import FinishedRun
from tests.integration.test_same_run_again import computed
from tests.integration.toys import PICTURES, draw_picture

pytestmark = pytest.mark.slow

NEW = PICTURES // 5


@pytest.fixture
def more_pictures(first_run: FinishedRun) -> Iterator[None]:
    """A fifth more in the folder of all tests; they are taken away again."""
    folder = first_run.workspace.parent / "pictures"
    label_file, images = folder / "labels.csv", folder / "images"
    labels, status = label_file.read_text(), images.stat()
    names = {f"{number:04}.png": number % 2 for number in range(PICTURES, PICTURES + NEW)}
    for name, label in names.items():
        draw_picture(images / name, label, seed=5000 + int(name[:4]))
    label_file.write_text(labels + "".join(f"{name},{label}\n" for name, label in names.items()))
    yield
    for name in names:
        (images / name).unlink()
    label_file.write_text(labels)
    os.utime(images, ns=(status.st_atime_ns, status.st_mtime_ns))


class TwoWeeks(NamedTuple):
    """The first release, and the one after pictures were added."""

    run: FinishedRun
    second: ReleasedPhase
    feature_bytes_before: int

    @property
    def ledgers(self) -> tuple[SplitLedger, SplitLedger]:
        return load_ledger(self.run.released.made.ledger), load_ledger(self.second.made.ledger)

    @property
    def log(self) -> Path:
        """The only one."""
        (log,) = (self.run.workspace / "ledgers").glob("*.jsonl")
        return log


def feature_bytes(workspace: Path) -> int:
    """Of the matrix."""
    return max(path.stat().st_size for path in (workspace / "features").rglob("*") if path.is_file())


@pytest.fixture
def two_weeks(again: FinishedRun, more_pictures: None) -> TwoWeeks:
    before = feature_bytes(again.workspace)
    lenient = again.config.model_copy(update={"acceptance": BaselineAcceptance(max_accuracy_deficit=0.05)})
    grown = again._replace(config=lenient)
    return TwoWeeks(grown, baseline(grown.config), before)


def places(ledger: SplitLedger) -> pd.Series:
    return ledger.samples.set_index("id")["split"] + ledger.samples.set_index("id")["half"]


def test_a_second_week_moves_nothing_computes_only_what_is_new_and_counts_on(two_weeks, step_states):
    first, second = two_weeks.ledgers
    assert len(second.samples) == PICTURES + NEW
    assert places(second)[places(first).index].equals(places(first))
    assert (second.history.continues, second.origin) == (first.digest, first.digest)
    assert feature_bytes(two_weeks.run.workspace) * PICTURES == two_weeks.feature_bytes_before * (PICTURES + NEW)

    looks = AccessLog(two_weeks.log)
    assert (looks.summary().test_openings, looks.summary().certification_looks) == (2, 2)
    assert looks.summary().delta_spent == pytest.approx(2 * two_weeks.run.config.constraint.delta)
    bundle = two_weeks.second.run.folder / "bundle"
    assert summarised(SplitSummary.from_json_file(bundle / "splits.json").openings) == looks.summary()
    assert "opened\n2 times" in (bundle / "MODEL_CARD.md").read_text()

    step_states.clear()
    third = baseline(two_weeks.run.config)
    assert computed(step_states) == set()
    assert (third.made.ledger, third.bundle) == (two_weeks.second.made.ledger, two_weeks.second.bundle)
    assert looks.summary().test_openings == 2


class TestWhatIsRefused:
    def test_a_lost_record_of_the_last_split(self, again, more_pictures):
        (record,) = (again.workspace / "ledgers").glob("*.json")
        record.unlink()
        with pytest.raises(
            LedgerError, match=r"which split was the last one is no longer known: .* another split seed"
        ):
            baseline(again.config)

    def test_a_damaged_last_split(self, again, more_pictures):
        (table,) = again.workspace.glob("store/ledger/*/ledger.parquet")
        table.write_bytes(table.read_bytes()[:-1])
        with pytest.raises(LedgerError, match=r"the last split of these data, is lost\. Without it every picture"):
            baseline(again.config)

    def test_an_access_log_whose_end_was_cut_off(self, again, more_pictures):
        (log,) = (again.workspace / "ledgers").glob("*.jsonl")
        log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
        with pytest.raises(LedgerError, match=r"no longer holds entry 2 .* that an earlier release carries"):
            baseline(again.config)


def test_the_record_names_the_split_and_no_path_of_this_machine(finished_run):
    (record,) = (finished_run.workspace / "ledgers").glob("*.json")
    content = json.loads(record.read_text())
    assert content["ledger"]["sha256"] == finished_run.released.made.ledger.sha256
    assert content["continued"] is None
    assert str(finished_run.workspace) not in record.read_text()
