"""NATIX roadwork as parquet shards with the pictures inside: they are extracted once, then read from a folder."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import Field

from stage1_core.data.sources.parquet_extraction import ShardRow, extract_shard
from stage1_core.data.sources.source import Listing, MissingSourceError, Source, existing_folder
from stage1_core.errors import DataError


class NatixParquetSource(Source):
    """Shards ``data/train-*.parquet`` or ``data/test-*.parquet``; the first reading writes all pictures to a folder."""

    kind: Literal["natix_parquet"] = "natix_parquet"
    shards: Literal["train", "test"] = "train"
    """Which shards, by the beginning of their names."""
    shard_folder: str = "data"
    """The folder of the shards, relative to the root or absolute."""
    cache_folder: Path | None = None
    """Where the pictures are extracted to, as large as the shards; by default the folder ``extracted`` in the root."""
    gps_decimals: Annotated[int, Field(ge=0, le=6)] = 3
    """Without a video, pictures whose degrees agree when rounded to this are one group; 3 is about 100 metres."""

    def listing(self) -> Listing:
        """One row for each picture, in the shards' order. Raises `MissingSourceError` or `DataError`."""
        cache = self._cache()
        extracted = [(cache / shard.stem, extract_shard(shard, cache / shard.stem)) for shard in self._shards()]
        facts = [row for _, rows in extracted for row in rows]
        rows = self.rows(
            [f"{folder}/{row.file}" for folder, in_shard in extracted for row in in_shard],
            [row.label for row in facts],
            groups=[self._group(row) for row in facts],
            descriptions=[row.description for row in facts],
            base=cache,
        )
        return Listing(rows)

    def files(self) -> list[Path]:
        """None: the labels are in the shards, which are too large to be read for every fingerprint."""
        self.folder()
        return []

    def pictures(self) -> pd.Series:
        """The shards."""
        return pd.Series([str(shard) for shard in self._shards()], dtype="str")

    def _shards(self) -> list[Path]:
        folder = existing_folder(self.folder() / self.shard_folder, self.name)
        found = sorted(folder.glob(f"{self.shards}-*.parquet"))
        if not found:
            raise MissingSourceError(f"source {self.name!r}: {folder} has no {self.shards}-*.parquet; correct its path")
        self._refuse_missing_shards(found)
        return found

    def _refuse_missing_shards(self, found: list[Path]) -> None:
        """Shard names count themselves: ``train-00003-of-00026``. A download that stopped half-way is an error."""
        totals = {int(match[1]) for shard in found if (match := re.search(r"-of-(\d+)", shard.stem))}
        if totals and totals != {len(found)}:
            wanted = " or ".join(str(total) for total in sorted(totals))
            raise DataError(
                f"source {self.name!r}: {found[0].parent} has {len(found)} of {wanted} {self.shards} shards; "
                "download the missing ones or remove those of another version"
            )

    def _cache(self) -> Path:
        return self.folder() / "extracted" if self.cache_folder is None else self.cache_folder.absolute()

    def _group(self, row: ShardRow) -> str:
        if row.sequence and row.video:
            return f"{row.city}/{row.sequence}/{row.video}"
        place = _degrees(row.gps)
        return "" if place is None else "gps " + " ".join(f"{round(value, self.gps_decimals) + 0.0}" for value in place)


def _degrees(text: str) -> tuple[float, float] | None:
    """Latitude and longitude from ``[lat, lon]``, quoted or not; None where there are no two numbers."""
    try:
        value: Any = json.loads(text.strip().strip("\"'"))
        latitude, longitude = value
        return float(latitude), float(longitude)
    except (ValueError, TypeError):
        return None
