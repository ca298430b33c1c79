"""Listing of folders."""

import os

import pytest

from stage1_core.data.sources.folder_listing import list_files
from stage1_core.errors import DataError


def touch(root, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_hidden_files_and_the_doubles_of_archives_are_passed_over(tmp_path):
    touch(tmp_path, "a.jpg", "._a.jpg", ".cache/b.jpg", "__MACOSX/a.jpg", "a.txt", "jpg")
    assert list_files(tmp_path) == ["a.jpg"]


def test_the_order_is_that_of_the_names_and_not_of_the_disk(tmp_path):
    names = [f"{i * 37 % 100:02d}/{i}.png" for i in range(50)]
    touch(tmp_path, *names)
    assert list_files(tmp_path) == sorted(names)


def test_linked_folders_are_followed_and_circles_end(tmp_path):
    touch(tmp_path, "here/a.jpg", "far/b.jpg")
    (tmp_path / "here" / "link").symlink_to(tmp_path / "far")
    (tmp_path / "here" / "circle").symlink_to(tmp_path / "here")
    assert list_files(tmp_path / "here") == ["a.jpg", "link/b.jpg"]


def test_a_folder_that_is_linked_twice_is_listed_twice_so_that_the_audit_sees_the_copies(tmp_path):
    touch(tmp_path, "far/b.jpg")
    (tmp_path / "here").mkdir()
    for name in ("works", "street"):
        (tmp_path / "here" / name).symlink_to(tmp_path / "far")
    assert list_files(tmp_path / "here") == ["street/b.jpg", "works/b.jpg"]


def test_a_name_that_is_not_utf8_is_named(tmp_path):
    (tmp_path / os.fsdecode(b"stra\xdfe.jpg")).touch()
    with pytest.raises(DataError, match="not UTF-8"):
        list_files(tmp_path)
