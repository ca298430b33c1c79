"""Which split a new one continues: the last one of each line of data, kept in the workspace.

A line is what grows from week to week: the same seed and shares, the same names of sources. Its record is one small
file below ``ledgers/``. It is read before a split is made and replaced after; what would lose it, or make two futures
of one past, is refused.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stage1_core.bundle.artifact import ArtifactKind, ArtifactRef
from stage1_core.config import FrozenModel
from stage1_core.data.config import DataConfig
from stage1_core.data.ledger import SUMMARY_FILE, SplitLedger
from stage1_core.data.replacing import replaced_file
from stage1_core.data.split_config import SplitConfig
from stage1_core.data.split_summary import SplitSummary
from stage1_core.digests import canonical_json, digest_of_bytes, identity_of
from stage1_core.errors import LedgerError, Stage1Error
from tasks._workspace import access_log, ledger_folder, store


class LineRecord(FrozenModel):
    """The last split of a line, and what it was made from."""

    split: SplitConfig
    """Seed and shares."""
    sources: tuple[str, ...]
    """Names of the sources, sorted."""
    state: str
    """Digest of configuration, files and library when the split was made."""
    ledger: ArtifactRef
    """The split."""
    continued: ArtifactRef | None
    """The split that it continued; None for the first of the line."""


def earlier_split(config: DataConfig, fingerprint: str) -> ArtifactRef | None:
    """The split that one of these data continues: while nothing has changed, the one that was continued last time.

    A line whose sources are new as a whole has none. Where only some are, it grows from the line that has most of them.
    Raises `LedgerError` when the record, or the split that it names, is lost or damaged.
    """
    record = _read(_path(config))
    if record is not None and record.state == _state(config, fingerprint):
        return record.continued
    record = record or _related(config)
    if record is None:
        _require_unused(config)
        return None
    if not store().intact(record.ledger):
        raise LedgerError(f"{record.ledger.path} in {store().root}, the last split of these data, is lost. {_else()}")
    require_openings_kept(store().open(record.ledger))
    return record.ledger


def record_split(config: DataConfig, fingerprint: str, earlier: ArtifactRef | None, ledger: ArtifactRef) -> None:
    """Make ``ledger``, which continues ``earlier``, the last split of its line.

    Raises `LedgerError` when another run has meanwhile made another split of the line the last one.
    """
    record = LineRecord(
        split=config.split,
        sources=_names(config),
        state=_state(config, fingerprint),
        ledger=ledger,
        continued=earlier,
    )
    with _locked():
        found = _read(_path(config))
        if found == record:
            return
        if found is not None and earlier != found.ledger:
            raise LedgerError(
                "another run divided these data while this one did, and they had changed in between: two splits cannot "
                "continue the same one. Run again, which continues the other run's split"
            )
        with replaced_file(_path(config)) as path:
            path.write_text(record.to_json(), encoding="utf-8")


def load_earlier(ref: ArtifactRef | None) -> SplitLedger | None:
    """The split to continue, if there is one. Raises `LedgerError` when it is lost or damaged."""
    try:
        return None if ref is None else SplitLedger.load(store().open(ref))
    except Stage1Error as error:
        raise LedgerError(f"the split to be continued cannot be read: {error}. {_else()}") from error


def require_openings_kept(ledger: Path) -> None:
    """Raise `LedgerError` if the access log of a ledger's line lacks an entry that a release in the store carries."""
    origin = SplitSummary.from_json_file(ledger / SUMMARY_FILE).origin
    for path in sorted(store().root.glob(f"{ArtifactKind.BUNDLE}/*/*/{SUMMARY_FILE}")):
        released = SplitSummary.from_json_file(path)
        if released.origin == origin:
            access_log(origin).require_begins_with(released.openings)


def _related(config: DataConfig) -> LineRecord | None:
    """The record with the same seed and shares that has most of the sources. Raises `LedgerError` when several have."""
    records = [record for path in sorted(ledger_folder().glob("*.json")) if (record := _read(path)) is not None]
    shared = [len(set(_names(config)) & set(record.sources)) * (record.split == config.split) for record in records]
    best = [record for record, count in zip(records, shared, strict=True) if count and count == max(shared)]
    if len(best) > 1:
        lines = " and ".join(", ".join(record.sources) for record in best)
        raise LedgerError(
            f"the sources {', '.join(_names(config))} could continue several splits, those of {lines}, and pictures "
            "that were held out in one may have been trained on in another; run with the sources of one of them and "
            "add the others as pictures, or begin a new line with another split seed"
        )
    return best[0] if best else None


def _require_unused(config: DataConfig) -> None:
    """Raise `LedgerError` if the store holds a split of these data whose rows were looked at: its record is lost."""
    for path in sorted(store().root.glob(f"{ArtifactKind.LEDGER}/*/{SUMMARY_FILE}")):
        summary = SplitSummary.from_json_file(path)
        known = summary.config == config.split and not summary.source_digests.keys().isdisjoint(_names(config))
        if known and access_log(summary.origin).path.exists():
            raise LedgerError(
                f"these data were split before ({path}), but which split was the last one is no longer known: "
                f"{_path(config)} is missing. {_else()}"
            )


def _path(config: DataConfig) -> Path:
    line = digest_of_bytes(canonical_json([config.split.model_dump(mode="json"), _names(config)]))
    return ledger_folder() / f"{line[:20]}.json"


def _names(config: DataConfig) -> tuple[str, ...]:
    return tuple(sorted(source.name for source in config.sources))


def _state(config: DataConfig, fingerprint: str) -> str:
    """Another library may audit or divide otherwise, so that its first split continues the last one of the old."""
    return identity_of(config.digest(), fingerprint)


def _read(path: Path) -> LineRecord | None:
    try:
        return LineRecord.from_json_file(path) if path.exists() else None
    except Stage1Error as error:
        raise LedgerError(f"which split these data continue cannot be read: {error}. {_else()}") from error


def _else() -> str:
    return (
        "Without it every picture would be drawn anew, and ones that were held out might be trained on. Restore "
        f"{ledger_folder()} and {store().root} from a backup; or begin a new line with another split seed, best with "
        "pictures that nobody has looked at as held-out ones"
    )


@contextmanager
def _locked() -> Iterator[None]:
    """One writer of records at a time; the lock goes with its process."""
    ledger_folder().mkdir(parents=True, exist_ok=True)
    with (ledger_folder() / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
