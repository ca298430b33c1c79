"""Decisions as text."""

from __future__ import annotations

import csv
import io
import json

import numpy as np

from stage1_core.policy.decision_rows import FIELDS, write_csv, write_jsonl
from stage1_core.predictions import Decisions

IDS = np.array(["a", 'b, "quoted"', "Straße\n3"])
DECISIONS = Decisions(np.array([[True, False], [False, True], [True, True]]))


def written(write) -> str:
    file = io.StringIO()
    write(IDS, DECISIONS, file)
    return file.getvalue()


def test_csv_has_a_line_for_each_id_and_nothing_for_no_label():
    rows = list(csv.DictReader(io.StringIO(written(write_csv), newline="")))
    assert [list(row.values()) for row in rows] == [
        ["a", "True", "0", "0"],
        ['b, "quoted"', "True", "1", "1"],
        ["Straße\n3", "False", "", "0 1"],
    ]


def test_jsonl_has_an_object_for_each_id_and_null_for_no_label():
    rows = [json.loads(line) for line in written(write_jsonl).splitlines()]
    assert [list(row.values()) for row in rows] == [
        ["a", True, 0, [0]],
        ['b, "quoted"', True, 1, [1]],
        ["Straße\n3", False, None, [0, 1]],
    ]
    assert all(tuple(row) == FIELDS for row in rows)


def test_no_rows_leave_the_header():
    file = io.StringIO()
    write_csv(np.empty(0, dtype=np.str_), Decisions(np.empty((0, 2), dtype=np.bool_)), file)
    assert file.getvalue() == "id,exited,label,prediction_set\n"
