"""Open Images: only what people verified counts."""

import pytest
from pydantic import ValidationError

from stage1_core.data.sources import OpenImagesSource
from stage1_core.data.sources.source import MissingSourceError
from stage1_core.errors import DataError

WORKS, CONE, STREET, PERSON = "/m/0works", "/m/0cone", "/m/0street", "/m/01g317"


def source(root, votes: list[tuple[str, str, str, float]], **settings) -> OpenImagesSource:
    (root / "train/data").mkdir(parents=True, exist_ok=True)
    for image, *_ in votes:
        (root / "train/data" / f"{image}.jpg").touch()
    lines = "".join(",".join(str(field) for field in vote) + "\n" for vote in votes)
    (root / "labels.csv").write_text("ImageID,Source,LabelName,Confidence\n" + lines)
    chosen = {"label_files": ("labels.csv",), "positive": (WORKS, CONE), "negative": (STREET,)} | settings
    return OpenImagesSource(name="oi", root=root, **chosen)


@pytest.mark.parametrize(
    ("votes", "label"),
    [
        ([("verification", WORKS, 1)], 1),
        ([("crowdsource-verification", WORKS, 1)], 1),
        ([("verification", WORKS, 1), ("verification", STREET, 1)], 1),
        ([("verification", STREET, 1)], 0),
        ([("verification", STREET, 1), ("verification", WORKS, 0)], 0),
        ([("verification", WORKS, 0), ("verification", CONE, 0)], 0),
        ([("verification", WORKS, 0)], None),
        ([("machine", WORKS, 0.9)], None),
        ([("machine", STREET, 0.9)], None),
        ([("verification", STREET, 1), ("machine", WORKS, 0.3)], None),
        ([("verification", STREET, 0)], None),
        ([("verification", PERSON, 1)], None),
    ],
)
def test_only_verified_labels_of_the_listed_classes_decide(tmp_path, votes, label):
    always = ("always", "verification", CONE, 1)
    listing = source(tmp_path, [always, *(("x", *vote) for vote in votes)]).listing()
    found = dict(zip(listing.rows["id"], listing.rows["label"], strict=True))
    assert found.pop("oi/train/data/always.jpg") == 1
    assert found == ({} if label is None else {"oi/train/data/x.jpg": label})
    assert any("left out" in remark for remark in listing.remarks) == (label is None)


def test_labels_of_pictures_that_were_not_downloaded_are_passed_over(tmp_path):
    config = source(tmp_path, [("a", "verification", WORKS, 1), ("b", "verification", WORKS, 1)])
    (tmp_path / "train/data/b.jpg").unlink()
    assert list(config.read()["id"]) == ["oi/train/data/a.jpg"]


def test_labels_are_gathered_from_several_files(tmp_path):
    config = source(tmp_path, [("a", "verification", WORKS, 1)], label_files=("labels.csv", "more.csv"))
    (tmp_path / "train/data/b.jpg").touch()
    (tmp_path / "more.csv").write_text(f"ImageID,Source,LabelName,Confidence\nb,verification,{STREET},1\n")
    assert list(config.read()["label"]) == [1, 0]


def test_ids_of_digits_alone_stay_text(tmp_path):
    assert list(source(tmp_path, [("0000000000000012", "verification", WORKS, 1)]).read()["label"]) == [1]


@pytest.mark.parametrize("field", ["positive", "negative"])
def test_both_lists_must_be_given(tmp_path, field):
    with pytest.raises(ValidationError):
        source(tmp_path, [], **{field: ()})


def test_a_class_cannot_be_on_both_sides(tmp_path):
    with pytest.raises(ValidationError, match="as positive and as negative"):
        source(tmp_path, [], negative=(WORKS,))


def test_names_of_classes_instead_of_machine_ids_are_refused(tmp_path):
    with pytest.raises(ValidationError):
        source(tmp_path, [], positive=("Traffic cone",))


def test_a_file_of_another_kind_is_refused(tmp_path):
    config = source(tmp_path, [("a", "verification", WORKS, 1)])
    (tmp_path / "labels.csv").write_text("ImageID,XMin\na,0.5\n")
    with pytest.raises(DataError, match="no column Source, LabelName, Confidence"):
        config.read()


def test_a_confidence_that_is_no_number_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"labels\.csv is not an Open Images label file"):
        source(tmp_path, [("a", "verification", WORKS, "high")]).read()


@pytest.mark.parametrize("votes", [[], [("a", "machine", WORKS, 1)]])
def test_nothing_verified_is_a_missing_source(tmp_path, votes):
    with pytest.raises(MissingSourceError):
        source(tmp_path, votes).read()
