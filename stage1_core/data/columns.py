"""The columns of the data tables: their names, their dtypes, and the check that a table has exactly these."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import pandas as pd

from stage1_core.errors import DataError

Role = Literal["pool", "train", "val"]
"""What a source is for: "pool" is cut into all splits, "train" is never validated on, "val" is never trained on."""

UNLABELED = -1
"""The label of a picture whose class is not known."""

LABELS = (UNLABELED, 0, 1)
"""All labels: 1 is the positive class (roadwork), 0 the negative one."""

SOURCE_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "id": "str",  # "<source name>/<relative path>", unique
        "path": "str",  # absolute
        "label": "int8",
        "source": "str",
        "group": "str",  # "<source name>/..."; equals the id where nothing is known
        "role": "str",
        "description": "str",  # "" where there is none
    }
)
"""Columns and dtypes of source rows: what the label files say, before any picture is opened."""

SAMPLE_COLUMNS: Mapping[str, str] = MappingProxyType(
    {**SOURCE_COLUMNS, "sha256": "str", "phash": "uint64", "width": "int32", "height": "int32"}
)
"""Columns and dtypes of sample rows: source rows whose pictures were opened. Width and height are pixels."""


def empty_table(columns: Mapping[str, str]) -> pd.DataFrame:
    """A table of these columns and dtypes without rows."""
    return pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in columns.items()})


def checked_table(rows: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    """The same ``rows``, when their columns and dtypes are exactly ``columns`` and no id occurs twice.

    Raises `DataError` that names the first column or id that is wrong.
    """
    found = {str(name): str(dtype) for name, dtype in rows.dtypes.items()}
    if found != dict(columns) or list(found) != list(columns):
        missing = [f"{name} ({dtype})" for name, dtype in columns.items() if found.get(name) != dtype]
        unknown = [f"{name} ({dtype})" for name, dtype in found.items() if columns.get(name) != dtype]
        raise DataError(
            f"a data table needs {missing or list(columns)} and has {unknown or list(found)} in their place"
        )
    repeated = rows["id"].duplicated()
    if bool(repeated.any()):
        raise DataError(f"id {rows['id'][repeated].iloc[0]!r} occurs twice; ids must be unique: drop or rename one row")
    return rows
