"""The NATIX layout: a folder and a two-column CSV in the forms in which it goes round."""

import re

import pytest

from stage1_core.data.sources import NatixCsvSource
from stage1_core.data.sources.source import MissingSourceError
from stage1_core.errors import DataError


def source(root, content: str | bytes) -> NatixCsvSource:
    (root / "train").mkdir(parents=True, exist_ok=True)
    (root / "train_labels.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    return NatixCsvSource(name="natix", root=root)


@pytest.mark.parametrize(
    "content",
    [
        b"b.jpg,0\na.jpg,1\n",
        b"b.jpg,0\na.jpg,1",
        b"image,label\nb.jpg,0\na.jpg,1\n",
        b"name,class\nb.jpg,0\na.jpg,1\n",
        b"\xef\xbb\xbfimage,label\r\nb.jpg,0\r\na.jpg,1\r\n",
        b"\xef\xbb\xbfb.jpg,0\r\na.jpg,1\r\n",
        b"\n\nimage,label\n\nb.jpg,0\n   \na.jpg,1\n\n",
        b" b.jpg , 0\n\ta.jpg,1 \n",
        b'"b.jpg","0"\n"a.jpg","1"\n',
    ],
)
def test_every_spelling_of_the_same_file_gives_the_same_rows_in_the_files_order(tmp_path, content):
    rows = source(tmp_path, content).read()
    assert list(rows["id"]) == ["natix/train/b.jpg", "natix/train/a.jpg"]
    assert list(rows["label"]) == [0, 1]
    assert list(rows["path"]) == [f"{tmp_path}/train/b.jpg", f"{tmp_path}/train/a.jpg"]


def test_nothing_is_known_about_groups_so_each_picture_is_its_own(tmp_path):
    rows = source(tmp_path, "a.jpg,0\nb.jpg,1\n").read()
    assert list(rows["group"]) == list(rows["id"])


def test_absolute_names_win_over_the_folder(tmp_path):
    rows = source(tmp_path, f"{tmp_path}/elsewhere/x.jpg,1\n/far/y.jpg,0\na.jpg,1\n").read()
    assert list(rows["path"]) == [f"{tmp_path}/elsewhere/x.jpg", "/far/y.jpg", f"{tmp_path}/train/a.jpg"]
    assert list(rows["id"]) == ["natix/elsewhere/x.jpg", "natix/far/y.jpg", "natix/train/a.jpg"]


def test_a_picture_that_is_missing_is_a_row_all_the_same(tmp_path):
    assert len(source(tmp_path, "not_there.jpg,0\n").read()) == 1


@pytest.mark.parametrize("second", ["a.jpg,0", "a.jpg,1", "./a.jpg,0", "x/../a.jpg,0", "{root}/train/a.jpg,0"])
def test_a_picture_listed_twice_is_refused_under_any_spelling(tmp_path, second):
    with pytest.raises(DataError, match=r"a\.jpg twice \(entries 1 and 3"):
        source(tmp_path, "a.jpg,0\nb.jpg,1\n" + second.format(root=tmp_path) + "\n").read()


@pytest.mark.parametrize("label", ["2", "-1", "1.0", "", "yes"])
def test_a_label_that_is_not_0_or_1_is_named_with_its_line(tmp_path, label):
    with pytest.raises(DataError, match=re.escape(f"line 5: the label is {label!r}")):
        source(tmp_path, f"image,label\n\na.jpg,0\n  \nb.jpg,{label}\nc.jpg,1\n").read()


@pytest.mark.parametrize("label", ["2", "1.0", "", "yes"])
def test_a_wrong_label_in_the_first_line_is_not_taken_for_a_header(tmp_path, label):
    with pytest.raises(DataError, match="line 1: the label"):
        source(tmp_path, f"a.jpg,{label}\nb.jpg,1\n").read()


def test_a_second_header_in_the_middle_is_an_error(tmp_path):
    with pytest.raises(DataError, match="line 3: the label is 'label'"):
        source(tmp_path, "image,label\na.jpg,0\nimage,label\nb.jpg,1\n").read()


@pytest.mark.parametrize("line", ["b.jpg", "b.jpg,1,1", "b,c.jpg,1"])
def test_a_line_without_two_fields_is_named(tmp_path, line):
    with pytest.raises(DataError, match=re.escape("line 2: ")):
        source(tmp_path, f"a.jpg,0\n{line}\n").read()


def test_an_empty_name_is_named_with_its_line(tmp_path):
    with pytest.raises(DataError, match="line 2: there is no picture name"):
        source(tmp_path, "a.jpg,0\n,1\n").read()


def test_a_file_in_another_encoding_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(DataError, match="UTF-8"):
        source(tmp_path, "stra\xdfe.jpg,1\n".encode("latin-1")).read()


@pytest.mark.parametrize("content", ["", "\n\n", "image,label\n"])
def test_a_file_without_lines_is_a_missing_source(tmp_path, content):
    with pytest.raises(MissingSourceError, match="no pictures"):
        source(tmp_path, content).read()


def test_label_file_and_folder_that_are_missing_are_named(tmp_path):
    there = source(tmp_path, "a.jpg,0\n")
    with pytest.raises(MissingSourceError, match=r"val_labels\.csv"):
        there.model_copy(update={"label_file": "val_labels.csv"}).read()
    with pytest.raises(MissingSourceError, match="pictures_of_val"):
        there.model_copy(update={"image_folder": "pictures_of_val"}).read()


def test_a_file_sorted_by_class_stays_in_its_order(tmp_path):
    rows = source(tmp_path, "".join(f"{i}.jpg,{int(i >= 5)}\n" for i in range(10))).read()
    assert list(rows["label"]) == [0] * 5 + [1] * 5
