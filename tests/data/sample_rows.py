"""Small sample tables for the tests of audit and split."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from stage1_core.data.columns import SAMPLE_COLUMNS
from stage1_core.digests import digest_of_bytes


def sample_rows(
    labels: Sequence[int],
    *,
    groups: Sequence[str] | None = None,
    role: str = "pool",
    source: str = "street",
    files: Sequence[str] | None = None,
    hashes: Sequence[int] | None = None,
    descriptions: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Sample rows with these labels. Unless given, each is a group of its own, with its own file and far-away hash."""
    ids = [f"{source}/{role}_{row:05d}.jpg" for row in range(len(labels))]
    digests = [digest_of_bytes(name.encode()) for name in files or ids]
    return pd.DataFrame(
        {
            "id": ids,
            "path": [f"/pictures/{name}" for name in ids],
            "label": labels,
            "source": source,
            "group": [f"{source}/{group}" for group in groups] if groups is not None else ids,
            "role": role,
            "description": list(descriptions) if descriptions is not None else "",
            "sha256": digests,
            "phash": hashes if hashes is not None else [int(digest[:16], 16) for digest in digests],
            "width": 640,
            "height": 480,
        }
    ).astype(dict(SAMPLE_COLUMNS))


def no_bad() -> pd.DataFrame:
    """No picture was broken."""
    return pd.DataFrame({name: pd.Series(dtype="str") for name in ("id", "path", "source", "reason")})
