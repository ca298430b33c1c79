"""The split ledger: which row belongs to which split, and the only way to get rows for a purpose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from stage1_core.data.access_log import AccessEntry
from stage1_core.data.columns import UNLABELED
from stage1_core.data.division import divided
from stage1_core.data.placement import PLACED_COLUMNS, gone, nothing_placed
from stage1_core.data.replacing import replaced_file
from stage1_core.data.split_config import CutPool, CutValidation, SplitConfig
from stage1_core.data.split_summary import SplitHistory, SplitSummary, cells_of, shares_of
from stage1_core.data.table_digest import table_digest
from stage1_core.errors import LedgerError, Stage1Error
from stage1_core.predictions import Boolean, Predictions, Scores
from stage1_core.splits import READABLE_FOR, Purpose

__all__ = ["CutPool", "CutValidation", "SplitConfig", "SplitLedger", "SplitSummary", "require_disjoint", "split"]

TABLE_FILE = "ledger.parquet"
REMEMBERED_FILE = "remembered.parquet"
SUMMARY_FILE = "splits.json"
_ROW_COLUMNS = ("id", "sha256", "label")


@dataclass(frozen=True, slots=True, eq=False)
class SplitLedger:
    """Every sample row with its split. Made by `split` or `load`, which check it; equal ledgers have equal digests.

    The digest is over what is in which split alone, not over the ledgers before: where nothing was added or taken away,
    the next ledger of a line has the digest of the one that it continues, and what was made with that stays valid.
    """

    config: CutValidation | CutPool
    samples: pd.DataFrame
    """Sample rows in the order of their ids, with the columns ``split`` and ``half`` ("" outside VAL_CALIB)."""
    digest: str
    """Hex sha256 over id, sha256, label, group, split and half of every row."""
    remembered: pd.DataFrame = field(default_factory=nothing_placed)
    """Places of pictures that ledgers before this one held and this one does not (PLACED_COLUMNS)."""
    history: SplitHistory | None = None
    """What it owes to the ledgers before it; None for the first of a line."""

    @property
    def origin(self) -> str:
        """Digest of the first ledger of the line. All of them share one access log: most held-out rows are the same."""
        return self.history.origin if self.history else self.digest

    def placed(self) -> pd.DataFrame:
        """Every picture that has a place, here or remembered (PLACED_COLUMNS)."""
        return pd.concat([self.samples[list(PLACED_COLUMNS)], self.remembered], ignore_index=True)

    def rows(self, purpose: Purpose) -> pd.DataFrame:
        """The labelled rows that ``purpose`` may read."""
        return self.samples[self._readable(purpose)].reset_index(drop=True)

    def labelled(self, purpose: Purpose, scores: Scores) -> Predictions:
        """``scores`` of the rows of ``purpose``, in their order, with what is known of these rows.

        Raises `LedgerError` for scores of other rows.
        """
        rows = self.rows(purpose)
        ids, groups, sources = (rows[name].to_numpy(dtype=np.str_) for name in ("id", "group", "source"))
        if not np.array_equal(ids, scores.ids):
            raise LedgerError(f"{len(scores)} scores are not those of the {len(ids)} {purpose} rows; score these rows")
        return Predictions(purpose, scores, rows["label"].to_numpy(dtype=np.int64), groups, sources)

    def unlabeled(self) -> pd.DataFrame:
        """Rows without label that no validation picture is related to: for pretraining, never for a metric."""
        return self.samples[self.samples["label"] == UNLABELED].reset_index(drop=True)

    def rows_digest(self, purpose: Purpose) -> str:
        """Digest over id, sha256 and label of the rows of ``purpose``: how the access log names them."""
        return table_digest(self.samples.loc[self._readable(purpose), list(_ROW_COLUMNS)], _ROW_COLUMNS)

    def summary(self, openings: Sequence[AccessEntry] = ()) -> SplitSummary:
        """Counts and digests, with the ``openings`` so far."""
        identity = self.samples[["source", *_ROW_COLUMNS]]
        return SplitSummary(
            config=self.config,
            ledger_digest=self.digest,
            splits=shares_of(self.samples, self.config),
            cells=cells_of(self.samples),
            rows_digests={purpose: self.rows_digest(purpose) for purpose in Purpose},
            source_digests={
                str(source): table_digest(identity[identity["source"] == source], _ROW_COLUMNS)
                for source in sorted(identity["source"].unique())
            },
            openings=tuple(openings),
            history=self.history,
        )

    def save(self, folder: Path, openings: Sequence[AccessEntry] = ()) -> None:
        """Write ``ledger.parquet``, what is remembered, then ``splits.json``, each whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        if len(self.remembered):
            with replaced_file(folder / REMEMBERED_FILE) as path:
                self.remembered.to_parquet(path, index=False)
        with replaced_file(folder / TABLE_FILE) as path:
            self.samples.to_parquet(path, index=False)
        with replaced_file(folder / SUMMARY_FILE) as path:
            path.write_text(self.summary(openings).to_json())

    @staticmethod
    def load(folder: Path) -> SplitLedger:
        """Read what `save` wrote. Raises `LedgerError` when a file is missing, damaged or not what was saved."""
        try:
            summary = SplitSummary.from_json_file(folder / SUMMARY_FILE)
            samples = pd.read_parquet(folder / TABLE_FILE)
            remembers = summary.history is not None and summary.history.remembered > 0
            remembered = pd.read_parquet(folder / REMEMBERED_FILE) if remembers else nothing_placed()
        except (Stage1Error, OSError, pa.ArrowException) as error:
            raise LedgerError(f"{folder} holds no readable split ledger ({error}); make the split again") from error
        _require_columns(samples, {*PLACED_COLUMNS, "source", "role"}, folder / TABLE_FILE)
        _require_columns(remembered, set(PLACED_COLUMNS), folder / REMEMBERED_FILE)
        ledger = _checked(SplitLedger(summary.config, samples, _digest(samples), remembered, summary.history))
        _require_digest(ledger.digest, summary.ledger_digest, folder / TABLE_FILE)
        if summary.history is not None:
            _require_digest(_digest(remembered), summary.history.remembered_digest, folder / REMEMBERED_FILE)
        return ledger

    def _readable(self, purpose: Purpose) -> Boolean:
        readable = READABLE_FOR[purpose]
        mask = (self.samples["split"] == readable.split.value) & (self.samples["label"] != UNLABELED)
        if readable.half is not None:
            mask &= self.samples["half"] == readable.half.value
        return mask.to_numpy(dtype=np.bool_)


def split(samples: pd.DataFrame, config: CutValidation | CutPool, earlier: SplitLedger | None = None) -> SplitLedger:
    """Divide audited sample rows. The same rows, in any order, on any machine, give the same ledger.

    With an ``earlier`` ledger, every picture that it, or one before it, placed stays where it was, and new pictures
    fill up what the splits lack of their shares; `divided` says which rows are left out. Without new rows the digest
    stays the same.

    Raises `DataError` when a row's role has no place in this kind of cut or a split lacks a class, `AuditError` when a
    group lies on both sides of a given train / val boundary, `LedgerError` when one picture is in two groups that were
    parted (rows that were not audited), or ``earlier`` was cut by another ``config``.
    """
    if earlier is None:
        rows = divided(samples, config, nothing_placed()).rows
        return _checked(SplitLedger(config, rows, _digest(rows)))
    if earlier.config != config:
        raise LedgerError(
            f"a split with {config.to_json()} cannot continue one with {earlier.config.to_json()}; keep seed and "
            "shares, or split without an earlier ledger"
        )
    placed = earlier.placed()
    division = divided(samples, config, placed)
    digest, remembered = _digest(division.rows), gone(placed, division.rows)
    history = _history(earlier, digest, remembered, division.left_out)
    return _checked(SplitLedger(config, division.rows, digest, remembered, history))


def require_disjoint(ledger: SplitLedger) -> None:
    """Raise `LedgerError` naming the first id, picture or group that lies in two splits or both halves of VAL_CALIB."""
    samples = ledger.samples
    repeated = samples["id"].duplicated()
    if repeated.any():
        raise LedgerError(f"id {samples.loc[repeated, 'id'].iloc[0]} is in the ledger twice; each row needs its own id")
    place, places = pd.factorize(samples["split"] + " " + samples["half"])
    for column, meaning in (("sha256", "the same picture"), ("group", "one group")):
        codes, values = pd.factorize(samples[column])
        some_place = np.empty(len(values), dtype=np.int64)
        some_place[codes] = place
        astray = np.flatnonzero(some_place[codes] != place)
        if len(astray):
            code = codes[astray[0]]
            first = samples.loc[astray[0], "id"]
            other = samples.loc[np.flatnonzero((codes == code) & (place == some_place[code]))[0], "id"]
            raise LedgerError(
                f"{meaning} ({column} {values[code]}) lies in {places[place[astray[0]]].strip()} as {first} and in "
                f"{places[some_place[code]].strip()} as {other}; run the audit and split again"
            )


def _history(earlier: SplitLedger, digest: str, remembered: pd.DataFrame, left_out: int) -> SplitHistory | None:
    """What the ledger with ``digest`` owes to ``earlier``: where nothing has changed, what ``earlier`` owes itself."""
    same = digest == earlier.digest
    if same and earlier.history is None and not left_out and remembered.empty:
        return None
    return SplitHistory(
        origin=earlier.origin,
        continues=earlier.history.continues if same and earlier.history else earlier.digest,
        left_out=left_out,
        remembered=len(remembered),
        remembered_digest=_digest(remembered),
    )


def _digest(rows: pd.DataFrame) -> str:
    return table_digest(rows, PLACED_COLUMNS)


def _checked(ledger: SplitLedger) -> SplitLedger:
    require_disjoint(ledger)
    return ledger


def _require_columns(table: pd.DataFrame, wanted: set[str], path: Path) -> None:
    missing = wanted - set(table.columns)
    if missing:
        raise LedgerError(f"{path} lacks the columns {', '.join(sorted(missing))}; split again")


def _require_digest(found: str, written: str, path: Path) -> None:
    if found != written:
        raise LedgerError(
            f"{path} has digest {found[:12]}…, {SUMMARY_FILE} was written for {written[:12]}…: one of them was "
            "changed; restore both, or split again"
        )
