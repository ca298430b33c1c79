from __future__ import annotations

import csv
import io
import json
import shutil

import pytest

from stage1_core.bundle.predict import picture_files, predict_files, write_csv, write_jsonl
from stage1_core.bundle.runtime import load_bundle
from stage1_core.errors import DataError


@pytest.fixture(scope="module")
def stage1(released):
    return load_bundle(released)


@pytest.fixture
def folder(pictures, tmp_path):
    (tmp_path / "sub").mkdir()
    shutil.copy(pictures[0], tmp_path / "b.png")
    shutil.copy(pictures[1], tmp_path / "sub" / "a.PNG")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    (tmp_path / "notes.txt").write_text("not a picture")
    return tmp_path


def test_folders_are_walked_in_order_and_other_files_left_out(folder):
    names = [path.relative_to(folder).as_posix() for path in picture_files([folder])]
    assert names == ["b.png", "broken.jpg", "sub/a.PNG"]


def test_a_path_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(DataError, match="absent"):
        picture_files([tmp_path / "absent"])


@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_a_broken_picture_is_a_row_and_the_others_are_decided(stage1, folder, batch_size):
    paths = picture_files([folder])
    rows = list(predict_files(stage1, paths, batch_size=batch_size))
    assert [row.path for row in rows] == [str(path) for path in paths]
    assert [row.error is None for row in rows] == [True, False, True]
    assert "broken.jpg" in rows[1].error
    assert rows[1].exited is rows[1].label is rows[1].probability is None
    expected = stage1.decide([paths[0], paths[2]])
    assert [(row.exited, row.label) for row in rows if row.error is None] == [(d.exited, d.label) for d in expected]


def test_nothing_but_broken_pictures_gives_nothing_but_errors(stage1, folder):
    (row,) = predict_files(stage1, [folder / "broken.jpg"])
    assert row.error is not None


def test_progress_ends_at_the_total(stage1, pictures):
    seen = []
    list(predict_files(stage1, pictures[:5], batch_size=2, on_progress=lambda done, total: seen.append((done, total))))
    assert seen == [(2, 5), (4, 5), (5, 5)]


def test_csv_and_jsonl_hold_the_same_rows(stage1, folder):
    rows = list(predict_files(stage1, picture_files([folder])))
    table, lines = io.StringIO(), io.StringIO()
    write_csv(rows, table)
    write_jsonl(rows, lines)
    parsed = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert parsed == [row.model_dump() for row in rows]
    read = list(csv.DictReader(io.StringIO(table.getvalue())))
    assert [row["path"] for row in read] == [row.path for row in rows]
    assert [row["error"] == "" for row in read] == [True, False, True]
