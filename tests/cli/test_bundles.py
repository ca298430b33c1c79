"""`stage1 predict`, `stage1 verify`, `stage1 export`."""

from __future__ import annotations

import csv
import io
import json

import pytest

from stage1_core.bundle.runtime import load_bundle


@pytest.fixture
def pictures(released):
    return released.parent / "run" / "pictures"


@pytest.fixture
def broken(tmp_path):
    path = tmp_path / "broken.jpg"
    path.write_bytes(b"no picture")
    return path


def test_predictions_are_what_the_bundle_decides(stage1, released, pictures):
    code, out, err = stage1("predict", released, pictures)
    rows = list(csv.DictReader(io.StringIO(out)))
    decisions = load_bundle(released).decide(sorted(pictures.iterdir()))
    assert code == 0
    assert [row["path"] for row in rows] == [str(path) for path in sorted(pictures.iterdir())]
    assert [row["exited"] for row in rows] == [str(one.exited) for one in decisions]
    assert [row["label"] for row in rows] == ["" if one.label is None else str(one.label) for one in decisions]
    assert [float(row["probability"]) for row in rows] == [one.probability for one in decisions]
    exited = sum(one.exited for one in decisions)
    assert f"24 pictures: {exited} exit, 0 broken" in err


def test_a_broken_picture_is_a_row_with_its_error(stage1, released, pictures, broken):
    code, out, err = stage1("predict", released, broken, pictures / "000.png", "--format", "jsonl")
    first, second = (json.loads(line) for line in out.splitlines())
    assert code == 0
    assert first["path"] == str(broken)
    assert str(broken) in first["error"]
    assert first["exited"] is first["label"] is first["probability"] is None
    assert second["error"] is None
    assert "2 pictures" in err
    assert "1 broken" in err


@pytest.mark.parametrize(("row_format", "first"), [("csv", "path,exited,label,probability,error"), ("jsonl", "{")])
def test_rows_go_to_a_file_where_one_is_named(stage1, released, pictures, tmp_path, row_format, first):
    code, out, _ = stage1("predict", released, pictures, "--output", tmp_path / "rows", "--format", row_format)
    assert (code, out) == (0, "")
    assert (tmp_path / "rows").read_text().startswith(first)


def test_a_picture_that_does_not_exist_is_an_error(stage1, released, tmp_path):
    code, _, err = stage1("predict", released, tmp_path / "absent.png")
    assert code == 2
    assert "absent.png does not exist" in err


def test_a_whole_bundle_verifies(stage1, released):
    code, out, err = stage1("verify", released)
    assert (code, err) == (0, "")
    assert "PASS" in out
    assert "FAIL" not in out


def test_a_tampered_bundle_does_not_verify(stage1, tampered):
    code, out, err = stage1("verify", tampered)
    assert code == 2
    assert "FAIL" in out
    assert err.startswith("stage1: ")
    assert "thresholds.json" in err


def test_an_export_is_the_bundle(stage1, released, tmp_path):
    code, out, _ = stage1("export", released, tmp_path / "service")
    assert code == 0
    assert str(tmp_path / "service") in out
    assert {path.name for path in tmp_path.iterdir()} == {"service"}
    exported, original = (load_bundle(folder).manifest for folder in (tmp_path / "service", released))
    assert exported == original


def test_an_export_never_writes_over_anything(stage1, released, tmp_path):
    (tmp_path / "service").mkdir()
    code, _, err = stage1("export", released, tmp_path / "service")
    assert code == 2
    assert "exists" in err
    assert list((tmp_path / "service").iterdir()) == []


def test_a_device_that_is_not_there_is_an_error(stage1, released):
    code, _, err = stage1("verify", released, "--device", "abacus")
    assert code == 2
    assert "abacus" in err
