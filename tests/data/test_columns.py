"""The check that a table has the columns it should have."""

import pytest

from stage1_core.data.columns import SAMPLE_COLUMNS, SOURCE_COLUMNS, checked_table, empty_table
from stage1_core.errors import DataError


@pytest.mark.parametrize("columns", [SOURCE_COLUMNS, SAMPLE_COLUMNS])
def test_an_empty_table_has_the_columns(columns):
    assert checked_table(empty_table(columns), columns).empty


def test_sample_columns_begin_with_the_source_columns():
    assert list(SAMPLE_COLUMNS)[: len(SOURCE_COLUMNS)] == list(SOURCE_COLUMNS)


def test_a_wrong_dtype_is_named():
    with pytest.raises(DataError, match=r"needs \['label \(int8\)'\] and has \['label \(int64\)'\]"):
        checked_table(empty_table(SOURCE_COLUMNS).astype({"label": "int64"}), SOURCE_COLUMNS)


def test_a_missing_column_is_named():
    with pytest.raises(DataError, match=r"needs \['group \(str\)'\]"):
        checked_table(empty_table(SOURCE_COLUMNS).drop(columns="group"), SOURCE_COLUMNS)


def test_columns_in_another_order_are_refused():
    with pytest.raises(DataError, match="a data table needs"):
        checked_table(empty_table(SOURCE_COLUMNS)[[*reversed(SOURCE_COLUMNS)]], SOURCE_COLUMNS)


def test_an_id_that_occurs_twice_is_named():
    rows = empty_table(SOURCE_COLUMNS)
    twice = rows.reindex([0, 1]).assign(id="x/a.jpg", label=0).astype(dict(SOURCE_COLUMNS))
    with pytest.raises(DataError, match=r"id 'x/a\.jpg' occurs twice"):
        checked_table(twice, SOURCE_COLUMNS)
