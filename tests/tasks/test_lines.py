"""Which split a new one continues."""

from __future__ import annotations

import threading
from pathlib import Path

import pandas as pd
import pytest

from stage1_core.bundle.artifact import ArtifactKind, ArtifactRef
from stage1_core.data.config import DataConfig
from stage1_core.data.ledger import CutPool, SplitLedger, split
from stage1_core.data.sources.natix_csv import NatixCsvSource
from stage1_core.errors import LedgerError
from stage1_core.splits import Purpose
from tasks._lines import earlier_split, load_earlier, record_split
from tasks._workspace import access_log, ledger_folder, store
from tests.data.sample_rows import sample_rows


@pytest.fixture(autouse=True)
def own_workspace(tmp_path, monkeypatch):
    monkeypatch.setenv("STAGE1_ARTIFACTS", str(tmp_path / "workspace"))


def data(*names: str, seed: int = 0) -> DataConfig:
    sources = tuple(NatixCsvSource(name=name, root=Path(name)) for name in names)
    return DataConfig(sources=sources, split=CutPool(seed=seed))


def rows(count: int, source: str = "street") -> pd.DataFrame:
    return sample_rows([0, 1] * (count // 2), source=source)


def stored(ledger: SplitLedger) -> ArtifactRef:
    return store().put(ArtifactKind.LEDGER, ledger.save)


def week(config: DataConfig, fingerprint: str, samples: pd.DataFrame) -> ArtifactRef:
    """What a run does with its data."""
    earlier = earlier_split(config, fingerprint)
    ref = stored(split(samples, config.split, load_earlier(earlier)))
    record_split(config, fingerprint, earlier, ref)
    return ref


def files() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in ledger_folder().iterdir()}


STREET = data("street")


def test_the_first_split_of_a_line_continues_none():
    assert earlier_split(STREET, "monday") is None
    assert load_earlier(None) is None


def test_unchanged_data_continue_what_they_continued_last_time():
    first = week(STREET, "monday", rows(80))
    assert earlier_split(STREET, "monday") is None
    second = week(STREET, "tuesday", rows(100))
    assert earlier_split(STREET, "tuesday") == first
    before = files()
    assert week(STREET, "tuesday", rows(100)) == second
    assert files() == before


def test_changed_data_continue_the_last_split():
    first = week(STREET, "monday", rows(80))
    assert earlier_split(STREET, "tuesday") == first


def test_another_audit_continues_the_last_split_though_no_file_has_changed():
    first = week(STREET, "monday", rows(80))
    audit = STREET.audit.model_copy(update={"near_duplicate_distance": None})
    assert earlier_split(STREET.model_copy(update={"audit": audit}), "monday") == first


def test_another_seed_is_a_line_of_its_own():
    week(STREET, "monday", rows(80))
    assert earlier_split(data("street", seed=1), "monday") is None
    assert earlier_split(data("other"), "monday") is None


def test_a_line_grows_by_sources_from_the_one_that_has_most_of_them():
    week(STREET, "monday", rows(80))
    both = pd.concat([rows(80), rows(40, "dashcam")], ignore_index=True)
    second = week(data("street", "dashcam"), "tuesday", both)
    assert earlier_split(data("dashcam", "street", "rendered"), "wednesday") == second


def test_two_lines_cannot_be_continued_at_once():
    week(STREET, "monday", rows(80))
    week(data("dashcam"), "monday", rows(80, "dashcam"))
    with pytest.raises(LedgerError, match="could continue several splits"):
        earlier_split(data("street", "dashcam"), "tuesday")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"state": 1}'])
def test_a_damaged_record_is_refused_and_left_alone(content):
    week(STREET, "monday", rows(80))
    (record,) = ledger_folder().glob("*.json")
    record.write_bytes(content)
    with pytest.raises(LedgerError, match=r"cannot be read: .* might be trained on\. Restore .* another split seed"):
        earlier_split(STREET, "tuesday")
    assert record.read_bytes() == content


def test_a_lost_record_is_refused_once_held_out_rows_were_looked_at():
    ledger = load_earlier(week(STREET, "monday", rows(80)))
    (record,) = ledger_folder().glob("*.json")
    record.unlink()
    assert earlier_split(STREET, "monday") is None, "a run killed before it kept its split starts again"
    access_log(ledger.origin).record(
        "opened", Purpose.FINAL_EVALUATION, subject="model", rows_digest="rows", reason="candidate"
    )
    with pytest.raises(LedgerError, match="is no longer known"):
        earlier_split(STREET, "monday")
    assert earlier_split(data("street", seed=1), "monday") is None


def test_a_lost_split_is_refused_where_it_would_be_continued():
    ref = week(STREET, "monday", rows(80))
    (store().open(ref) / "ledger.parquet").unlink()
    assert earlier_split(STREET, "monday") is None
    with pytest.raises(LedgerError, match="is lost"):
        earlier_split(STREET, "tuesday")
    with pytest.raises(LedgerError, match="the split to be continued cannot be read"):
        load_earlier(ref)


def test_two_runs_on_the_same_data_keep_the_same_split():
    week(STREET, "monday", rows(80))
    earlier = earlier_split(STREET, "tuesday")
    ref = stored(split(rows(100), STREET.split, load_earlier(earlier)))
    runs = [threading.Thread(target=record_split, args=(STREET, "tuesday", earlier, ref)) for _ in range(4)]
    for run in runs:
        run.start()
    for run in runs:
        run.join(timeout=30)
    assert earlier_split(STREET, "tuesday") == earlier
    assert earlier_split(STREET, "wednesday") == ref


def test_two_runs_on_different_data_do_not_both_continue_the_same_split():
    week(STREET, "monday", rows(80))
    earlier = earlier_split(STREET, "tuesday")
    slower = stored(split(rows(100), STREET.split, load_earlier(earlier)))
    faster = week(STREET, "wednesday", rows(120))
    with pytest.raises(LedgerError, match="Run again"):
        record_split(STREET, "tuesday", earlier, slower)
    assert earlier_split(STREET, "thursday") == faster
