"""Generated pictures with JSON files."""

import json

import pytest

from stage1_core.data.sources import SyntheticSource
from stage1_core.errors import DataError


def write(root, name: str, content: object) -> None:
    (root / f"{name}.png").touch()
    (root / f"{name}.json").write_text(json.dumps(content))


def test_description_and_group_are_read_from_the_json(tmp_path):
    write(tmp_path, "a", {"label": 1, "scene_description": "cones", "seed": 7})
    write(tmp_path, "b", {"label": 0, "scene_description": None, "seed": 7})
    write(tmp_path, "c", {"label": 0})
    rows = SyntheticSource(name="s", root=tmp_path, group_key="seed").read()
    assert list(rows["description"]) == ["cones", "", ""]
    assert list(rows["group"]) == ["s/7", "s/7", "s/c.png"]


@pytest.mark.parametrize("content", [{}, [], {"label": "1"}, {"label": 2}, {"label": True}, {"label": None}, 1])
def test_a_label_that_is_not_the_number_0_or_1_is_named_with_its_file(tmp_path, content):
    write(tmp_path, "a", content)
    with pytest.raises(DataError, match=r"a\.json: 'label' is"):
        SyntheticSource(name="s", root=tmp_path).read()


def test_a_picture_without_json_is_an_error(tmp_path):
    write(tmp_path, "a", {"label": 1})
    (tmp_path / "b.png").touch()
    with pytest.raises(DataError, match=r"b\.png has no b\.json"):
        SyntheticSource(name="s", root=tmp_path).read()


def test_a_json_without_picture_is_remarked_on(tmp_path):
    write(tmp_path, "a", {"label": 1})
    (tmp_path / "settings.json").write_text("{}")
    listing = SyntheticSource(name="s", root=tmp_path).listing()
    assert listing.remarks == ("1 JSON file without picture, such as settings.json",)


def test_a_file_that_was_cut_off_is_named(tmp_path):
    write(tmp_path, "a", {"label": 1})
    (tmp_path / "a.json").write_text('{"label": ')
    with pytest.raises(DataError, match=r"a\.json is not JSON"):
        SyntheticSource(name="s", root=tmp_path).read()
