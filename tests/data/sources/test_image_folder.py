"""Class folders."""

import pytest
from pydantic import ValidationError

from stage1_core.data.sources import ImageFolderSource, UnlabeledSource
from stage1_core.errors import DataError


def touch(root, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_a_class_folder_counts_at_any_depth(tmp_path):
    touch(tmp_path, "train/works/s/a.jpg", "val/works/b.PNG", "train/none/c.jpeg", "none/d.webp", "works/notes.txt")
    rows = ImageFolderSource(name="f", root=tmp_path, positive=("works",), negative=("none",)).read()
    assert dict(zip(rows["id"], rows["label"], strict=True)) == {
        "f/none/d.webp": 0,
        "f/train/none/c.jpeg": 0,
        "f/train/works/s/a.jpg": 1,
        "f/val/works/b.PNG": 1,
    }


def test_a_folder_that_is_not_listed_is_an_error_until_it_is_listed(tmp_path):
    touch(tmp_path, "works/a.jpg", "unsure/b.jpg")
    config = ImageFolderSource(name="f", root=tmp_path, positive=("works",))
    with pytest.raises(DataError, match=r"unsure/b\.jpg lies under no folder"):
        config.read()
    assert len(config.model_copy(update={"ignored": ("unsure",)}).read()) == 1


def test_a_picture_under_folders_of_both_classes_is_an_error(tmp_path):
    touch(tmp_path, "works/none/a.jpg")
    with pytest.raises(DataError, match="both classes"):
        ImageFolderSource(name="f", root=tmp_path, positive=("works",), negative=("none",)).read()


def test_a_folder_cannot_mean_two_things(tmp_path):
    with pytest.raises(ValidationError, match="more than one"):
        ImageFolderSource(name="f", root=tmp_path, positive=("works",), negative=("works",))


def test_a_class_without_pictures_is_remarked_on(tmp_path):
    touch(tmp_path, "works/a.jpg")
    listing = ImageFolderSource(name="f", root=tmp_path, positive=("works",), negative=("none",)).listing()
    assert listing.remarks == ("1 class folder without pictures: none",)


def test_groups_come_from_the_path_and_pictures_without_one_are_counted(tmp_path):
    touch(tmp_path, "works/site_1/a.jpg", "works/site_1/b.jpg", "works/c.jpg")
    config = ImageFolderSource(name="f", root=tmp_path, positive=("works",), group_pattern=r"/(site_\d+)/")
    listing = config.listing()
    assert list(listing.rows["group"]) == ["f/works/c.jpg", "f/site_1", "f/site_1"]
    assert "1 picture, such as works/c.jpg" in listing.remarks[0]


@pytest.mark.parametrize("pattern", ["site_1", "(a)(b)", "(", ""])
def test_a_group_pattern_has_exactly_one_pair_of_parentheses(tmp_path, pattern):
    with pytest.raises(ValidationError):
        UnlabeledSource(name="f", root=tmp_path, group_pattern=pattern)


def test_unlabeled_pictures_are_grouped_too(tmp_path):
    touch(tmp_path, "drive1_0.jpg", "drive1_1.jpg")
    rows = UnlabeledSource(name="u", root=tmp_path, group_pattern=r"^(drive\d+)_").read()
    assert set(rows["group"]) == {"u/drive1"}
    assert set(rows["label"]) == {-1}
