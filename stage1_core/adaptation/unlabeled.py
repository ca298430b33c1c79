"""Pictures to pretrain on: of the ledger and of other folders, without broken ones and kin of held-out ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from stage1_core.adaptation.config import UnlabeledConfig
from stage1_core.data.columns import SAMPLE_COLUMNS, empty_table
from stage1_core.data.grouping import related
from stage1_core.data.inspection import Progress, inspect_images
from stage1_core.data.ledger import SplitLedger
from stage1_core.data.reading import read_sources
from stage1_core.data.table_digest import table_digest
from stage1_core.errors import DataError
from stage1_core.predictions import Boolean
from stage1_core.splits import Purpose, Split

_COLUMNS = ["id", "path", "sha256"]
_BAD_COLUMNS = {"id": "str", "path": "str", "source": "str", "reason": "str"}


@dataclass(frozen=True, slots=True, eq=False)
class UnlabeledPictures:
    """What is pretrained on, and what is left out."""

    rows: pd.DataFrame
    """Columns id, path and sha256, one row for each distinct picture, in the order of the ids. There are no labels."""
    bad: pd.DataFrame
    """Columns id, path, source and reason of pictures that cannot be opened; they are set aside."""
    held_out_kin: int
    """Pictures left out because they are kin of one of a validation split, as `unlabeled_pictures` says."""
    warnings: tuple[str, ...]
    """What the sources remarked."""

    def digest(self) -> str:
        """Hex sha256 over the pictures: what else decides a pretraining is in its configuration."""
        return table_digest(self.rows, ("id", "sha256"))


def unlabeled_pictures(
    ledger: SplitLedger, config: UnlabeledConfig, *, inspections: Path, on_progress: Progress | None = None
) -> UnlabeledPictures:
    """The ledger's unlabeled rows, its FIT_WEIGHTS rows where ``config`` says so, and the pictures of its sources.

    ``inspections`` is the folder in which digests of opened pictures are kept. Left out are pictures of the sources
    that equal, resemble or share a group with a held-out one, in any number of steps: nothing of a certificate's
    pictures may shape the features. Of held-out pictures of earlier ledgers that this one no longer holds, file and
    group are remembered and their looks are not: they leave out equal files, groups of the same name, and kin of these.
    Raises `DataError` for sources that are not what they should be, and where no picture is left.
    """
    found = _found(config, inspections, on_progress)
    kin = _held_out_kin(ledger, found.samples, config.near_duplicate_distance)
    own = [ledger.unlabeled(), *([ledger.rows(Purpose.FIT_WEIGHTS)] if config.training_pictures else [])]
    rows = pd.concat([table[_COLUMNS] for table in (*own, found.samples[~kin])], ignore_index=True)
    rows = rows.sort_values("id", kind="stable").drop_duplicates("sha256").reset_index(drop=True)
    if rows.empty:
        raise DataError(
            f"there is no picture to pretrain on: {len(found.bad)} cannot be opened, {int(kin.sum())} are kin of "
            "held-out ones; name a folder with others in unlabeled.sources, or set training_pictures = true"
        )
    return UnlabeledPictures(rows, found.bad, int(kin.sum()), found.warnings)


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """What the sources hold."""

    samples: pd.DataFrame
    bad: pd.DataFrame
    warnings: tuple[str, ...] = ()


def _found(config: UnlabeledConfig, inspections: Path, on_progress: Progress | None) -> _Found:
    if not config.sources:
        return _Found(empty_table(SAMPLE_COLUMNS), empty_table(_BAD_COLUMNS))
    rows, warnings = read_sources(config.sources)
    inspection = inspect_images(rows, cache_folder=inspections, on_progress=on_progress)
    return _Found(inspection.samples, inspection.bad, warnings)


def _held_out_kin(ledger: SplitLedger, samples: pd.DataFrame, distance: int | None) -> Boolean:
    """``(n,)`` True where a sample row may not be used."""
    gone = ledger.remembered[ledger.remembered["split"] != Split.TRAIN.value]
    own = ledger.samples[[*SAMPLE_COLUMNS, "split"]]
    together = pd.concat([own, samples.assign(split=Split.TRAIN.value)], ignore_index=True)
    group = related(together, distance).group
    held = together["sha256"].isin(gone["sha256"]) | together["group"].isin(gone["group"])
    held |= together["split"] != Split.TRAIN.value
    kin: Boolean = np.isin(group[len(own) :], group[held.to_numpy(dtype=np.bool_)])
    return kin
