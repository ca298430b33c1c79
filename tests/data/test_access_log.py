from __future__ import annotations

import multiprocessing
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stage1_core.data.access_log import FIRST_PREVIOUS, AccessEntry, AccessLog, summarised
from stage1_core.errors import LedgerError
from stage1_core.splits import Purpose

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def opened(log: AccessLog, subject: str, *, rows: str = "rows", time: datetime = NOON) -> AccessEntry:
    return log.record(
        "opened", Purpose.FINAL_EVALUATION, subject=subject, rows_digest=rows, reason="release candidate", time=time
    )


def certified(log: AccessLog, subject: str, delta: float, *, rows: str = "rows") -> AccessEntry:
    return log.record(
        "certified",
        Purpose.CERTIFY_POLICY,
        subject=subject,
        rows_digest=rows,
        reason="softmax policy",
        delta_spent=delta,
        time=NOON,
    )


@pytest.fixture
def log(tmp_path: Path) -> AccessLog:
    return AccessLog(tmp_path / "log" / "access.jsonl")


def test_a_log_that_was_never_written_has_no_entries_and_no_file(log: AccessLog) -> None:
    assert log.entries() == ()
    assert not log.path.exists()


def test_entries_come_back_in_order_and_chained(log: AccessLog) -> None:
    first, second = opened(log, "a"), opened(log, "b")
    assert log.entries() == (first, second)
    assert (first.previous, second.previous) == (FIRST_PREVIOUS, first.entry_digest)
    assert first.time == "2026-01-02T12:00:00+00:00"


def test_the_same_look_again_writes_nothing_even_at_another_time(log: AccessLog) -> None:
    first = opened(log, "a")
    before = log.path.read_bytes()
    assert opened(log, "a", time=datetime(2027, 1, 1, tzinfo=UTC)) == first
    assert log.path.read_bytes() == before


@pytest.mark.parametrize(("subject", "rows"), [("b", "rows"), ("a", "other rows")])
def test_another_subject_or_other_rows_are_another_look(log: AccessLog, subject: str, rows: str) -> None:
    opened(log, "a")
    opened(log, subject, rows=rows)
    assert len(log.entries()) == 2


def test_the_same_look_at_another_confidence_spends_again(log: AccessLog) -> None:
    certified(log, "a", 0.05)
    certified(log, "a", 0.10)
    assert log.summary().delta_spent == pytest.approx(0.15)


def test_the_summary_counts_openings_looks_and_spent_delta_of_the_asked_rows(log: AccessLog) -> None:
    log.record("split", None, subject="ledger", rows_digest="ledger", reason="made", time=NOON)
    opened(log, "a", rows="test")
    opened(log, "b", rows="test")
    certified(log, "a", 0.05, rows="calib")
    log.record("opened", Purpose.SELECT_MODEL, subject="a", rows_digest="select", reason="epoch", time=NOON)
    assert log.summary().model_dump() == {"test_openings": 2, "certification_looks": 1, "delta_spent": 0.05}
    assert log.summary("test").model_dump() == {"test_openings": 2, "certification_looks": 0, "delta_spent": 0.0}


def test_spent_delta_is_a_probability_and_never_exceeds_one(log: AccessLog) -> None:
    for number in range(12):
        certified(log, str(number), 0.1)
    assert log.summary().delta_spent == 1.0


def test_entries_carried_elsewhere_give_the_same_summary(log: AccessLog) -> None:
    certified(log, "a", 0.1)
    opened(log, "a")
    assert summarised(log.entries()) == log.summary()


def test_a_half_written_last_line_is_ignored_and_then_overwritten(log: AccessLog) -> None:
    first, second = opened(log, "a"), opened(log, "b")
    whole = log.path.read_bytes()
    for cut in range(len(first.line()) + 1, len(whole) - 2, 5):
        log.path.write_bytes(whole[:cut])
        assert log.entries() == (first,)
    assert opened(log, "b") == second
    assert log.path.read_bytes() == whole


def test_a_last_line_that_lacks_only_its_newline_is_kept(log: AccessLog) -> None:
    first = opened(log, "a")
    log.path.write_bytes(log.path.read_bytes()[:-1])
    second = opened(log, "b")
    assert log.entries() == (first, second)


def test_a_removed_entry_is_named(log: AccessLog) -> None:
    for subject in "abc":
        opened(log, subject)
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(lines[0] + lines[2])
    with pytest.raises(LedgerError, match="line 2"):
        log.entries()


def test_nothing_is_appended_to_a_damaged_log(log: AccessLog) -> None:
    opened(log, "a")
    damaged = log.path.read_bytes().replace(b"release", b"Release")
    log.path.write_bytes(damaged)
    with pytest.raises(LedgerError, match="line 1"):
        opened(log, "b")
    assert log.path.read_bytes() == damaged


def test_a_shortened_log_no_longer_begins_with_what_a_release_carries(log: AccessLog) -> None:
    opened(log, "a")
    opened(log, "b")
    carried = log.entries()
    log.require_begins_with(carried)
    log.path.write_bytes(carried[0].line())
    with pytest.raises(LedgerError, match="entry 2"):
        log.require_begins_with(carried)


@pytest.fixture(scope="module")
def three_entries(tmp_path_factory: pytest.TempPathFactory) -> AccessLog:
    log = AccessLog(tmp_path_factory.mktemp("log") / "access.jsonl")
    for subject in "abc":
        certified(log, subject, 0.1)
    return log


@given(data=st.data())
def test_any_edit_of_one_byte_of_an_earlier_entry_is_detected(three_entries: AccessLog, data: st.DataObject) -> None:
    content = bytearray(three_entries.path.read_bytes())
    last = len(content) - len(three_entries.entries()[-1].line())
    place = data.draw(st.integers(0, last - 1))
    content[place] = data.draw(st.integers(0, 255).filter(lambda byte: byte != content[place]))
    edited = AccessLog(three_entries.path.with_name("edited.jsonl"))
    edited.path.write_bytes(bytes(content))
    with pytest.raises(LedgerError, match="line"):
        edited.entries()


@given(data=st.data())
def test_any_edit_of_one_byte_of_the_last_entry_is_detected_too(three_entries: AccessLog, data: st.DataObject) -> None:
    content = bytearray(three_entries.path.read_bytes())
    first = len(content) - len(three_entries.entries()[-1].line())
    place = data.draw(st.integers(first, len(content) - 1))
    content[place] = data.draw(st.integers(0, 255).filter(lambda byte: byte != content[place]))
    edited = AccessLog(three_entries.path.with_name("edited_last.jsonl"))
    edited.path.write_bytes(bytes(content))
    with pytest.raises(LedgerError, match="line 3"):
        edited.entries()


def append_many(path: Path, writer: int) -> None:
    log = AccessLog(path)
    for number in range(25):
        opened(log, f"{writer} {number}")


def test_parallel_writers_lose_and_tear_nothing(log: AccessLog) -> None:
    # Spawned: a forked child would inherit the threads that earlier tests of this process left running.
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=append_many, args=(log.path, writer)) for writer in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=60)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert {entry.subject for entry in log.entries()} == {f"{w} {n}" for w in range(3) for n in range(25)}


def test_the_log_needs_no_table_library() -> None:
    code = "import sys, stage1_core.data.access_log; sys.exit('pandas' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
