"""Any CSV with a header."""

import pytest
from pydantic import ValidationError

from stage1_core.data.sources import CsvSource
from stage1_core.errors import DataError


def test_columns_delimiter_groups_and_descriptions_are_found_by_their_names(tmp_path):
    (tmp_path / "l.csv").write_text('what;seen;file;site\n"two;words, ""x""\nand a line";1;a.png;s1\n;0;b.png;\n')
    rows = CsvSource(
        name="mine",
        root=tmp_path,
        label_file="l.csv",
        path_column="file",
        label_column="seen",
        group_column="site",
        description_column="what",
        delimiter=";",
    ).read()
    assert list(rows["description"]) == ['two;words, "x"\nand a line', ""]
    assert list(rows["group"]) == ["mine/s1", "mine/b.png"]
    assert list(rows["label"]) == [1, 0]


def test_a_wrong_label_after_a_record_of_two_lines_is_named_with_its_line(tmp_path):
    (tmp_path / "labels.csv").write_text('path,label,note\na.png,1,"one\ntwo"\nb.png,x,\n')
    with pytest.raises(DataError, match="line 4: the label is 'x'"):
        CsvSource(name="mine", root=tmp_path).read()


def test_a_missing_column_is_named_along_with_those_found(tmp_path):
    (tmp_path / "labels.csv").write_text("image,label\na.png,1\n")
    with pytest.raises(DataError, match=r"no column path; columns found: image, label"):
        CsvSource(name="mine", root=tmp_path).read()


def test_two_columns_of_one_name_are_refused(tmp_path):
    (tmp_path / "labels.csv").write_text("path,label,label\na.png,1,0\n")
    with pytest.raises(DataError, match="two columns of one name"):
        CsvSource(name="mine", root=tmp_path).read()


def test_minus_one_is_an_unlabeled_picture(tmp_path):
    (tmp_path / "labels.csv").write_text("path,label\na.png,-1\n")
    assert list(CsvSource(name="mine", root=tmp_path).read()["label"]) == [-1]


@pytest.mark.parametrize("wrong", [{"group_column": ""}, {"delimiter": "::"}, {"name": "a/b"}, {"name": ""}])
def test_a_config_that_cannot_work_is_refused(tmp_path, wrong):
    with pytest.raises(ValidationError):
        CsvSource(**{"name": "mine", "root": tmp_path} | wrong)
