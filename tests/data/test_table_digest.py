from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest

from stage1_core.data import table_digest as module
from stage1_core.data.table_digest import table_digest
from stage1_core.errors import DataError

ROWS = pd.DataFrame({"id": ["b", "a", "ä"], "label": np.array([1, 0, -1], dtype="int8")})


def test_the_digest_is_over_the_lines_sorted_by_id() -> None:
    assert table_digest(ROWS, ["id", "label"]) == hashlib.sha256("a\x000\nb\x001\nä\x00-1\n".encode()).hexdigest()


def test_rows_in_another_order_or_in_several_pieces_have_the_same_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = table_digest(ROWS, ["id", "label"])
    pieces = pd.concat([ROWS.iloc[[2]], ROWS.iloc[:2]], ignore_index=True)
    assert table_digest(pieces, ["id", "label"]) == whole
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 2)
    assert table_digest(pieces, ["id", "label"]) == whole


def test_no_rows_have_the_digest_of_nothing() -> None:
    assert table_digest(ROWS.iloc[:0], ["id"]) == hashlib.sha256(b"").hexdigest()


def test_a_missing_value_cannot_be_digested() -> None:
    with pytest.raises(DataError, match="1 rows lack one of id, label"):
        table_digest(ROWS.assign(label=["1", None, "0"]), ["id", "label"])
