"""Rendered scenes."""

import pytest

from stage1_core.data.sources import RoadScenesSource
from stage1_core.errors import DataError


def test_districts_are_sources_and_drives_are_groups(tmp_path):
    lines = "image,label,group,source\na.png,1,drive_0,harbour\nb.png,1,drive_0,harbour\nc.png,0,drive_1,suburb\n"
    (tmp_path / "scenes.csv").write_text(lines)
    rows = RoadScenesSource(name="demo", root=tmp_path).read()
    assert list(rows["source"]) == ["demo/harbour", "demo/harbour", "demo/suburb"]
    assert list(rows["group"]) == ["demo/drive_0", "demo/drive_0", "demo/drive_1"]


def test_a_file_of_other_columns_is_refused(tmp_path):
    (tmp_path / "scenes.csv").write_text("image,label\na.png,1\n")
    with pytest.raises(DataError, match="no column group, source"):
        RoadScenesSource(name="demo", root=tmp_path).read()
