"""ROADWork: what is annotated is not yet roadwork."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stage1_core.data.sources import RoadworkSource
from stage1_core.data.sources.roadwork import ORDINARY_CATEGORIES, WORK_ZONE_CATEGORIES, _alterations
from stage1_core.errors import DataError

CATEGORIES = (*ORDINARY_CATEGORIES, *WORK_ZONE_CATEGORIES)
NONE = ["None"]


def source(root, images: list[dict], *, categories=CATEGORIES, **settings) -> RoadworkSource:
    """Each image: name, boxes (category names), description, alteration (absent: no tag)."""
    (root / "scene/images").mkdir(parents=True, exist_ok=True)
    (root / "scene/annotations").mkdir(parents=True, exist_ok=True)
    content = {"images": [], "annotations": [], "categories": []}
    content["categories"] = [{"id": number + 1, "name": name} for number, name in enumerate(categories)]
    for number, image in enumerate(images):
        tags = {"weather": ["Sunny"], "daytime": "Light"}
        if "alteration" in image:
            tags["travel_alteration"] = image["alteration"]
        content["images"].append(
            {
                "id": 100 + number,
                "file_name": image.get("name", f"pgh01_{number:05d}.jpg"),
                "scene_description": image.get("description", ""),
                "scene_level_tags": tags,
            }
        )
        for name in image.get("boxes", ()):
            content["annotations"].append(
                {"id": len(content["annotations"]), "image_id": 100 + number, "category_id": categories.index(name) + 1}
            )
    (root / "scene/annotations/instances_train_gps_split.json").write_text(json.dumps(content))
    return RoadworkSource(name="rw", root=root, **settings)


def test_the_nineteen_categories_are_each_in_one_list():
    assert len(CATEGORIES) == 19
    assert set(Counter(CATEGORIES).values()) == {1}


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ({"boxes": ["Cone"], "alteration": NONE}, 1),
        ({"boxes": ["Sidewalk", "Worker"]}, 1),
        ({"boxes": ORDINARY_CATEGORIES, "alteration": NONE}, 0),
        ({"boxes": ORDINARY_CATEGORIES}, None),
        ({"boxes": ["Barrier"], "alteration": ["Lane Shift"]}, 1),
        ({"alteration": ["Partially Blocked", "Other"]}, 1),
        ({"alteration": "['Fully Blocked']"}, 1),
        ({"alteration": "['None']"}, 0),
        ({"alteration": "None"}, 0),
        ({"alteration": NONE}, 0),
        ({"alteration": None}, None),
        ({"alteration": []}, None),
        ({"alteration": "[]"}, None),
        ({"alteration": ["Other"]}, None),
        ({"alteration": ["None", "Other"]}, None),
        ({}, None),
        ({"description": "A work zone on the right.", "alteration": NONE}, 1),
        ({"description": "Road work ahead, lane closed"}, 1),
        ({"description": "Roadworks"}, 1),
        ({"description": "There is no construction in this street", "alteration": NONE}, None),
        ({"description": "No sign of any work zone, but construction behind it"}, 1),
        ({"description": "A street with parked cars", "alteration": NONE}, None),
        ({"description": "   ", "alteration": NONE}, 0),
        ({"description": "Houses reconstructional in style", "alteration": NONE}, None),
    ],
)
def test_what_makes_a_picture_positive_negative_or_ambiguous(tmp_path, image, label):
    certain = {"name": "pgh99_0.jpg", "boxes": ["Drum"]}
    listing = source(tmp_path, [certain, image]).listing()
    assert list(listing.rows["label"]) == ([1] if label is None else [1, label])
    counted = ("1 picture of 2 ambiguous (neither work zone nor certainly none), left out",)
    assert listing.remarks == (counted if label is None else ())


def test_frames_of_one_sequence_are_one_group_in_both_ways_of_naming(tmp_path):
    names = [
        "pgh01_00001.jpg",
        "pgh01_00090.jpg",
        "pgh02_00001.jpg",
        "boston_s1_v2_3.jpg",
        "boston_s1_v3_3.jpg",
        "x.jpg",
    ]
    rows = source(tmp_path, [{"name": name, "alteration": NONE} for name in names]).read()
    expected = ["rw/pgh01", "rw/pgh01", "rw/pgh02", "rw/boston_s1_v2", "rw/boston_s1_v3", "rw/scene/images/x.jpg"]
    assert list(rows["group"]) == expected


def test_descriptions_are_kept_for_the_audit(tmp_path):
    rows = source(tmp_path, [{"description": "Work zone.", "alteration": NONE}]).read()
    assert list(rows["description"]) == ["Work zone."]


def test_the_categories_can_be_set(tmp_path):
    config = source(tmp_path, [{"boxes": ["Fence"]}, {"boxes": ["Cone"], "alteration": NONE}])
    rows = config.model_copy(update={"work_zone_categories": ("fence",)}).read()
    assert list(rows["label"]) == [1, 0]


def test_a_file_that_knows_none_of_the_categories_is_refused(tmp_path):
    with pytest.raises(DataError, match="none of the work-zone categories; its categories are person, dog"):
        source(tmp_path, [{"alteration": NONE}], categories=("person", "dog")).read()


def test_categories_of_neither_list_are_remarked_on(tmp_path):
    listing = source(tmp_path, [{"alteration": NONE}], categories=("Cone", "TTC Sign: detour")).listing()
    assert listing.remarks == ("instances_train_gps_split.json: categories that count neither way: TTC Sign: detour",)


def test_a_picture_in_two_files_is_refused(tmp_path):
    config = source(tmp_path, [{"alteration": NONE}])
    twice = config.model_copy(update={"annotation_files": config.annotation_files * 2})
    with pytest.raises(DataError, match=r"lists .*pgh01_00000\.jpg twice"):
        twice.read()


@pytest.mark.parametrize("content", ["{", "[]", '{"images": []}', '{"images": 1, "categories": [], "annotations": []}'])
def test_a_file_that_is_not_coco_is_named(tmp_path, content):
    config = source(tmp_path, [{"alteration": NONE}])
    (tmp_path / config.annotation_files[0]).write_text(content)
    with pytest.raises(DataError, match=r"instances_train_gps_split\.json is not a COCO file"):
        config.read()


@given(st.lists(st.sampled_from(["None", "Lane Shift", "Other", "it's"])))
def test_a_tag_printed_as_text_means_the_same_as_the_list(values):
    assert _alterations(str(values)) == _alterations(values)
