"""The four shapes of a Roboflow export."""

import json

import pytest

from stage1_core.data.sources import RoboflowSource
from stage1_core.data.sources.source import MissingSourceError
from stage1_core.errors import DataError

BOX_HEAD = "filename,width,height,class,xmin,ymin,xmax,ymax\n"


def touch(root, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def labels_of(config: RoboflowSource) -> dict[str, int]:
    rows = config.read()
    return dict(zip(rows["id"].str.removeprefix("r/"), rows["label"], strict=True))


def coco(root, images: dict[int, str], boxes: list[tuple[int, int]]) -> None:
    root.mkdir(parents=True, exist_ok=True)
    content = {
        "images": [{"id": number, "file_name": name} for number, name in images.items()],
        "categories": [{"id": 0, "name": "works"}, {"id": 1, "name": "cone"}, {"id": 2, "name": "car"}],
        "annotations": [{"id": n, "image_id": i, "category_id": c} for n, (i, c) in enumerate(boxes)],
    }
    (root / "_annotations.coco.json").write_text(json.dumps(content))
    touch(root, *images.values())


def test_boxes_of_one_picture_are_joined_and_pictures_without_boxes_are_negatives(tmp_path):
    touch(tmp_path, "train/a.jpg", "train/b.jpg", "train/empty.jpg", "train/README.roboflow.txt")
    lines = "a.jpg,9,9,car,1,1,2,2\na.jpg,9,9,cone,1,1,2,2\na.jpg,9,9,car,1,1,2,2\nb.jpg,9,9,car,.1,.1,.2,.2\n"
    (tmp_path / "train/_annotations.csv").write_text(BOX_HEAD + lines)
    config = RoboflowSource(name="r", root=tmp_path, positive=("cone",))
    assert labels_of(config) == {"train/a.jpg": 1, "train/b.jpg": 0, "train/empty.jpg": 0}


def test_a_boxed_picture_that_is_missing_is_a_row_all_the_same(tmp_path):
    touch(tmp_path, "a.jpg")
    (tmp_path / "_annotations.csv").write_text(BOX_HEAD + "gone.jpg,9,9,cone,1,1,2,2\n")
    config = RoboflowSource(name="r", root=tmp_path, positive=("cone",))
    assert labels_of(config) == {"a.jpg": 0, "gone.jpg": 1}


def test_coco_pictures_without_boxes_are_negatives_and_unlisted_ones_are_counted(tmp_path):
    coco(tmp_path / "train", {0: "a.jpg", 1: "b.jpg", 2: "c.jpg"}, [(0, 2), (0, 1), (1, 2)])
    touch(tmp_path, "train/unlisted.jpg")
    listing = RoboflowSource(name="r", root=tmp_path, positive=("cone",)).listing()
    assert list(listing.rows["label"]) == [1, 0, 0]
    assert listing.remarks == ("1 picture left out, because the label files do not list them",)


def test_a_damaged_coco_file_is_named(tmp_path):
    coco(tmp_path, {0: "a.jpg"}, [(7, 1)])
    with pytest.raises(DataError, match="not a COCO file"):
        RoboflowSource(name="r", root=tmp_path, positive=("cone",)).read()


def test_class_folders_are_read_with_and_without_split_folders(tmp_path):
    touch(tmp_path, "with/train/cone/a.jpg", "with/valid/car/b.jpg", "flat/cone/a.jpg", "flat/car/b.jpg")
    with_splits = RoboflowSource(name="r", root=tmp_path / "with", positive=("cone",))
    assert labels_of(with_splits) == {"train/cone/a.jpg": 1, "valid/car/b.jpg": 0}
    assert labels_of(with_splits.model_copy(update={"root": tmp_path / "flat"})) == {"car/b.jpg": 0, "cone/a.jpg": 1}


def test_a_table_of_classes_is_read_with_the_blanks_that_exports_put_into_its_header(tmp_path):
    touch(tmp_path, "train/a.jpg", "train/b.jpg", "train/c.jpg")
    lines = "filename, car, cone, drum\na.jpg, 1, 1, 0\nb.jpg, 1, 0, 0\nc.jpg, 0, 0, 1\n"
    (tmp_path / "train/_classes.csv").write_text(lines)
    config = RoboflowSource(name="r", root=tmp_path, positive=("cone", "drum"))
    assert labels_of(config) == {"train/a.jpg": 1, "train/b.jpg": 0, "train/c.jpg": 1}


def test_a_picture_twice_in_a_table_of_classes_is_named(tmp_path):
    (tmp_path / "_classes.csv").write_text("filename,cone\na.jpg,1\na.jpg,0\n")
    with pytest.raises(DataError, match=r"line 3: a\.jpg is listed twice"):
        RoboflowSource(name="r", root=tmp_path, positive=("cone",)).read()


def test_augmented_copies_of_one_picture_are_one_group_across_splits(tmp_path):
    touch(tmp_path, "train/cone/x_jpg.rf.0a.jpg", "train/cone/x_jpg.rf.0b.jpg", "valid/cone/x_jpg.rf.0c.jpg")
    touch(tmp_path, "train/cone/plain.jpg")
    rows = RoboflowSource(name="r", root=tmp_path, positive=("cone",)).read()
    assert list(rows["group"]) == ["r/train/cone/plain.jpg", "r/x_jpg", "r/x_jpg", "r/x_jpg"]


def test_a_misspelled_class_is_an_error_and_not_a_set_of_negatives(tmp_path):
    touch(tmp_path, "train/cone/a.jpg", "train/car/b.jpg")
    with pytest.raises(
        DataError, match="none of the positive classes Cone occurs in the export; its classes are car, c"
    ):
        RoboflowSource(name="r", root=tmp_path, positive=("Cone",)).read()


def test_one_class_that_does_not_occur_is_remarked_on(tmp_path):
    touch(tmp_path, "train/cone/a.jpg", "train/car/b.jpg")
    listing = RoboflowSource(name="r", root=tmp_path, positive=("cone", "drum")).listing()
    assert listing.remarks == ("no picture shows the positive class drum",)


def test_a_class_may_be_missing_from_one_split(tmp_path):
    touch(tmp_path, "train/cone/a.jpg", "valid/car/b.jpg")
    assert RoboflowSource(name="r", root=tmp_path, positive=("cone",)).listing().remarks == ()


def test_splits_can_be_chosen(tmp_path):
    touch(tmp_path, "train/cone/a.jpg", "valid/cone/b.jpg")
    config = RoboflowSource(name="r", root=tmp_path, positive=("cone",), splits=("valid",))
    assert list(labels_of(config)) == ["valid/cone/b.jpg"]


def test_a_chosen_split_or_label_file_that_is_missing_is_named(tmp_path):
    touch(tmp_path, "train/cone/a.jpg")
    config = RoboflowSource(name="r", root=tmp_path, positive=("cone",))
    with pytest.raises(MissingSourceError, match="test"):
        config.model_copy(update={"splits": ("test",)}).read()
    with pytest.raises(MissingSourceError, match=r"_annotations\.coco\.json"):
        config.model_copy(update={"shape": "coco"}).read()


def test_two_label_files_in_one_folder_need_a_decision(tmp_path):
    coco(tmp_path, {0: "a.jpg"}, [(0, 1)])
    (tmp_path / "_annotations.csv").write_text(BOX_HEAD)
    config = RoboflowSource(name="r", root=tmp_path, positive=("cone",))
    with pytest.raises(DataError, match="tfod_csv and coco; set shape"):
        config.read()
    assert labels_of(config.model_copy(update={"shape": "coco"})) == {"a.jpg": 1}
