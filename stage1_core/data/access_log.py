"""Who looked at which held-out rows, when and why: an append-only, hash-chained JSONL file beside the split ledger."""

from __future__ import annotations

import fcntl
import json
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BufferedRandom
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, ValidationError

from stage1_core.config import FrozenModel
from stage1_core.digests import canonical_json, digest_of_bytes
from stage1_core.errors import LedgerError
from stage1_core.splits import CERTIFYING, Purpose

FIRST_PREVIOUS = "0" * 64
"""What the first entry names as its predecessor."""

_LINE_BEGINS = b'{"delta_spent":'

AccessEvent = Literal["split", "opened", "certified"]


class AccessEntry(FrozenModel):
    """One look at held-out rows, or the making of the split itself. Chained to the entry before it by digest."""

    index: Annotated[int, Field(ge=0)]
    """Position in the log, from 0."""
    time: str
    """UTC, ISO 8601, whole seconds."""
    event: AccessEvent
    purpose: Purpose | None
    """What the rows were read for; None for the event "split"."""
    subject: str
    """Digest of what was evaluated: model and policy, or the ledger for the event "split"."""
    rows_digest: str
    """Digest of the rows that were read."""
    reason: str
    """Why, in words."""
    delta_spent: Annotated[float, Field(ge=0, le=1)]
    """Error probability that the look spends, as a fraction: 1 - confidence for a certificate, 0 for a mere reading."""
    previous: str
    """Digest of the entry before, 64 zeros for the first."""
    entry_digest: str
    """Hex sha256 of the canonical JSON of all other fields."""

    def expected_digest(self) -> str:
        """The digest that the other fields give."""
        return digest_of_bytes(canonical_json(self.model_dump(mode="json", exclude={"entry_digest"})))

    def line(self) -> bytes:
        """The entry's only valid form in the file."""
        return canonical_json(self.model_dump(mode="json")) + b"\n"


class AccessSummary(FrozenModel):
    """What a reader of a release needs to know about earlier looks at its rows."""

    test_openings: Annotated[int, Field(ge=0)]
    """How often VAL_TEST was opened."""
    certification_looks: Annotated[int, Field(ge=0)]
    """How often a policy was certified on VAL_CALIB."""
    delta_spent: Annotated[float, Field(ge=0, le=1)]
    """Union bound on the probability that any of the certificates is wrong, as a fraction."""


class _Contents(NamedTuple):
    """What a log file holds: its entries, and where a half-written last line starts or a newline is missing."""

    entries: tuple[AccessEntry, ...]
    end: int
    """Bytes that are entries; anything after them was half-written by a killed process."""
    newline_missing: bool


@dataclass(frozen=True, slots=True)
class AccessLog:
    """The log at ``path``; nothing is created before the first `record`.

    Writers in several processes or threads wait for each other. A line that a killed process wrote only in part is
    dropped by the next writer. Any other damage raises `LedgerError` naming the line. Cutting whole entries off the
    end leaves a valid, shorter chain: `require_begins_with` detects that against the entries a release carries.
    """

    path: Path

    def entries(self) -> tuple[AccessEntry, ...]:
        """All entries, oldest first. Raises `LedgerError` when the file was damaged or edited."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return ()
        return _parsed(content, self.path).entries

    def record(
        self,
        event: AccessEvent,
        purpose: Purpose | None,
        *,
        subject: str,
        rows_digest: str,
        reason: str,
        delta_spent: float = 0.0,
        time: datetime | None = None,
    ) -> AccessEntry:
        """Append an entry, durably, and return it; ``time`` is the clock's when absent.

        The same look again (event, purpose, subject, rows and delta) returns the entry that is there and writes
        nothing, so a resumed run does not count twice. Raises `LedgerError` when the file was damaged or edited.
        """
        with _locked(self.path) as file:
            file.seek(0)
            contents = _parsed(file.read(), self.path)
            look = (event, purpose, subject, rows_digest, delta_spent)
            for entry in contents.entries:
                if look == (entry.event, entry.purpose, entry.subject, entry.rows_digest, entry.delta_spent):
                    return entry
            entry = _sealed(
                AccessEntry(
                    index=len(contents.entries),
                    time=(time or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds"),
                    event=event,
                    purpose=purpose,
                    subject=subject,
                    rows_digest=rows_digest,
                    reason=reason,
                    delta_spent=delta_spent,
                    previous=contents.entries[-1].entry_digest if contents.entries else FIRST_PREVIOUS,
                    entry_digest="",
                )
            )
            file.truncate(contents.end)
            file.seek(0, os.SEEK_END)
            file.write(b"\n" * contents.newline_missing + entry.line())
            file.flush()
            os.fsync(file.fileno())
            return entry

    def summary(self, *rows_digests: str) -> AccessSummary:
        """Looks so far at the rows with these digests, or at any rows when none is given."""
        entries = [e for e in self.entries() if not rows_digests or e.rows_digest in rows_digests]
        return summarised(entries)

    def require_begins_with(self, known: Sequence[AccessEntry]) -> None:
        """Raise `LedgerError` unless ``known``, what an earlier release carries, is how this log begins."""
        entries = self.entries()
        for position, entry in enumerate(known):
            if position >= len(entries) or entries[position] != entry:
                raise LedgerError(
                    f"{self.path} no longer holds entry {position + 1} ({entry.event}, {entry.time}) that an earlier "
                    "release carries; restore the file from a backup, openings must not be forgotten"
                )


def summarised(entries: Sequence[AccessEntry]) -> AccessSummary:
    """Counts over ``entries``, for example those that a bundle carries."""
    certified = [e for e in entries if e.event == "certified" and e.purpose in CERTIFYING]
    return AccessSummary(
        test_openings=sum(e.event == "opened" and e.purpose is Purpose.FINAL_EVALUATION for e in entries),
        certification_looks=len(certified),
        delta_spent=min(1.0, math.fsum(e.delta_spent for e in entries)),
    )


def _sealed(entry: AccessEntry) -> AccessEntry:
    return entry.model_copy(update={"entry_digest": entry.expected_digest()})


def _parsed(content: bytes, path: Path) -> _Contents:
    """The entries of a log file's ``content``. Raises `LedgerError` naming the first line that is not what it was."""
    *lines, tail = content.split(b"\n")
    end = len(content) - len(tail)
    newline_missing = False
    if tail and not _half_written(tail):
        # Everything but the newline arrived, or somebody edited the newline away: then the line must be valid.
        lines.append(tail)
        end, newline_missing = len(content), True
    entries: list[AccessEntry] = []
    for number, line in enumerate(lines, start=1):
        previous = entries[-1].entry_digest if entries else FIRST_PREVIOUS
        entries.append(_verified(line, number, previous, path))
    return _Contents(tuple(entries), end, newline_missing)


def _half_written(tail: bytes) -> bool:
    """Whether a last line without newline is the beginning of an entry that breaks off before it is complete."""
    if not tail.startswith(_LINE_BEGINS[: len(tail)]):
        return False
    try:
        json.JSONDecoder().raw_decode(tail.decode(errors="replace"))
    except json.JSONDecodeError:
        return True
    return False


def _verified(line: bytes, number: int, previous: str, path: Path) -> AccessEntry:
    try:
        entry = AccessEntry.model_validate_json(line)
    except ValidationError:
        entry = None
    if (
        entry is None
        or entry.line() != line + b"\n"
        or entry.entry_digest != entry.expected_digest()
        or entry.index != number - 1
        or entry.previous != previous
    ):
        raise LedgerError(
            f"{path}, line {number} was damaged or edited after it was written; restore the file from a backup, "
            "or certify and test on new pictures: what these rows were used for is no longer known"
        )
    return entry


@contextmanager
def _locked(path: Path) -> Iterator[BufferedRandom]:
    """The log file open for reading and writing, held by this process and thread alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    created = not path.exists()
    with path.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    if created:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
