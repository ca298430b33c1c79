"""The two Kaggle sets."""

import pytest

from stage1_core.data.sources import KaggleSource
from stage1_core.errors import DataError

ISSUES = "Broken Road Sign Issues", "Damaged Road issues", "Illegal Parking Issues", "Mixed Issues", "Pothole Issues"


@pytest.fixture
def road_issues(tmp_path):
    for number, folder in enumerate(ISSUES):
        (tmp_path / "data/Road Issues" / folder).mkdir(parents=True)
        (tmp_path / "data/Road Issues" / folder / f"{number}.jpg").touch()
    return KaggleSource(name="k", root=tmp_path, content="road_issues", image_folder="data/Road Issues")


def test_road_issues_are_all_negative(road_issues):
    rows = road_issues.read()
    assert list(rows["label"]) == [0] * 5
    assert rows["id"][0] == "k/data/Road Issues/Broken Road Sign Issues/0.jpg"


def test_folders_that_may_show_works_can_be_left_out_and_are_counted(road_issues):
    config = road_issues.model_copy(update={"excluded_folders": ("Damaged Road issues", "Mixed Issues")})
    listing = config.listing()
    assert len(listing.rows) == 3
    assert listing.remarks == ("2 pictures in excluded folders left out",)


def test_construction_pictures_are_all_positive(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train/img_0000000.jpg").touch()
    config = KaggleSource(name="k", root=tmp_path, content="construction", image_folder="train")
    assert list(config.read()["label"]) == [1]


def test_a_converted_set_whose_csv_says_the_opposite_is_refused(tmp_path):
    """An earlier conversion of the road issues labelled all of them as roadwork."""
    (tmp_path / "train").mkdir()
    (tmp_path / "train_labels.csv").write_text("image,label\na.jpg,0\nb.jpg,1\n")
    config = KaggleSource(
        name="k", root=tmp_path, content="road_issues", image_folder="train", label_file="train_labels.csv"
    )
    with pytest.raises(DataError, match="line 3: the label is 1, but 'road_issues' pictures all have label 0"):
        config.read()
