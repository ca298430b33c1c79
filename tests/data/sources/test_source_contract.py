"""What every kind of source keeps to, tried on a tiny source of the true format for each member of the union."""

import csv
import importlib
import io
import json
import os
import pkgutil
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pydantic import TypeAdapter

from stage1_core.data import sources
from stage1_core.data.columns import SOURCE_COLUMNS
from stage1_core.data.reading import read_sources, source_fingerprint
from stage1_core.data.sources import SourceConfig
from stage1_core.data.sources.source import Source
from stage1_core.errors import DataError

MEMBERS = get_args(get_args(SourceConfig)[0])


class Made(NamedTuple):
    """A source on disk, one file whose bytes stand for a picture, and its label file if there is one."""

    settings: dict[str, object]
    picture: Path
    label_file: Path | None


def picture(path: Path, shade: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 6, 3), shade, np.uint8)).save(path)
    return path


def text(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def make_natix_csv(root: Path) -> Made:
    pictures = [picture(root / "train" / f"train_{i:09d}.jpg", i) for i in range(4)]
    labels = "".join(f"{path.name},{i // 2}\n" for i, path in enumerate(pictures))
    return Made({}, pictures[0], text(root / "train_labels.csv", labels))


def make_natix_parquet(root: Path) -> Made:
    rows = []
    for i in range(4):
        content = io.BytesIO()
        Image.new("RGB", (6, 4), (i, i, i)).save(content, "JPEG")
        rows.append(
            {
                "image": {"bytes": content.getvalue(), "path": "same_name.jpg"},
                "label": i // 2,
                "scene_description": "",
                "gps": "[40.44, -79.99]",
                "city_name": "pittsburgh",
                "video_info": {"frame_id": f"{i}", "seq_id": i // 2, "vid_id": "a"},
            }
        )
    (root / "data").mkdir(parents=True)
    shard = root / "data" / "train-00000-of-00001.parquet"
    pq.write_table(pa.Table.from_pylist(rows), shard)
    return Made({}, shard, None)


def make_csv(root: Path) -> Made:
    pictures = [picture(root / f"{i}.png", i) for i in range(3)]
    return Made({}, pictures[0], text(root / "labels.csv", "path,label\n0.png,0\n1.png,1\n2.png,-1\n"))


def make_image_folder(root: Path) -> Made:
    first = picture(root / "works" / "site_1" / "a.jpg")
    picture(root / "street" / "b.jpg")
    return Made({"positive": ["works"], "negative": ["street"]}, first, None)


def make_unlabeled(root: Path) -> Made:
    picture(root / "deep" / "er" / "b.jpg")
    return Made({}, picture(root / "a.JPG"), None)


def make_road_scenes(root: Path) -> Made:
    first = picture(root / "images" / "0.png")
    picture(root / "images" / "1.png")
    lines = "image,label,group,source\nimages/0.png,1,drive_0,harbour\nimages/1.png,0,drive_1,suburb\n"
    return Made({}, first, text(root / "scenes.csv", lines))


def make_roadwork(root: Path) -> Made:
    content = {
        "images": [
            {
                "id": i,
                "file_name": f"pgh01_{i:05d}.jpg",
                "scene_description": "",
                "scene_level_tags": {"travel_alteration": ["None"]},
            }
            for i in range(2)
        ],
        "categories": [{"id": 3, "name": "Cone"}, {"id": 4, "name": "Sidewalk"}],
        "annotations": [{"id": 0, "image_id": 0, "category_id": 3, "bbox": [0, 0, 1, 1]}],
    }
    first = picture(root / "scene/images/pgh01_00000.jpg")
    picture(root / "scene/images/pgh01_00001.jpg")
    labels = text(root / "scene/annotations/instances_train_gps_split.json", json.dumps(content))
    return Made({}, first, labels)


def make_roboflow(root: Path) -> Made:
    first = picture(root / "train" / "a_jpg.rf.0.jpg")
    picture(root / "train" / "b_jpg.rf.1.jpg")
    lines = "filename,width,height,class,xmin,ymin,xmax,ymax\na_jpg.rf.0.jpg,6,4,cone,1,1,2,2\n"
    return Made({"positive": ["cone"]}, first, text(root / "train" / "_annotations.csv", lines))


def make_kaggle(root: Path) -> Made:
    first = picture(root / "train" / "img_0000000.jpg")
    picture(root / "train" / "img_0000001.jpg")
    labels = text(root / "train_labels.csv", "image,label\nimg_0000000.jpg,1\nimg_0000001.jpg,1\n")
    settings = {"content": "construction", "image_folder": "train", "label_file": "train_labels.csv"}
    return Made(settings, first, labels)


def make_open_images(root: Path) -> Made:
    first = picture(root / "train/data/000002b66c9c498e.jpg")
    picture(root / "train/data/000002b97e5471a0.jpg")
    lines = (
        "ImageID,Source,LabelName,Confidence\n"
        "000002b66c9c498e,verification,/m/0works,1\n"
        "000002b97e5471a0,verification,/m/0street,1\n"
    )
    settings = {"label_files": ["labels.csv"], "positive": ["/m/0works"], "negative": ["/m/0street"]}
    return Made(settings, first, text(root / "labels.csv", lines))


def make_gtsrb(root: Path) -> Made:
    images = root / "Final_Training/Images"
    head = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId\n"
    for sign in (14, 25):
        picture(images / f"{sign:05d}" / "00000_00000.ppm")
        picture(images / f"{sign:05d}" / "00000_00001.ppm")
        lines = head + "".join(f"00000_0000{i}.ppm;6;4;1;1;5;3;{sign}\n" for i in range(2))
        label_file = text(images / f"{sign:05d}" / f"GT-{sign:05d}.csv", lines)
    return Made({}, images / "00014/00000_00000.ppm", label_file)


def make_synthetic(root: Path) -> Made:
    first = picture(root / "0.png")
    picture(root / "1.png")
    text(root / "1.json", json.dumps({"label": 0}))
    return Made({}, first, text(root / "0.json", json.dumps({"label": 1, "scene_description": "10 cones"})))


MAKE: dict[str, Callable[[Path], Made]] = {
    "csv": make_csv,
    "gtsrb": make_gtsrb,
    "image_folder": make_image_folder,
    "kaggle": make_kaggle,
    "natix_csv": make_natix_csv,
    "natix_parquet": make_natix_parquet,
    "open_images": make_open_images,
    "road_scenes": make_road_scenes,
    "roadwork": make_roadwork,
    "roboflow": make_roboflow,
    "synthetic": make_synthetic,
    "unlabeled": make_unlabeled,
}


class Tried(NamedTuple):
    config: Source
    made: Made


@pytest.fixture(params=sorted(MAKE))
def tried(request: pytest.FixtureRequest, tmp_path: Path) -> Tried:
    made = MAKE[request.param](tmp_path / "place")
    return Tried(configured(request.param, tmp_path / "place", made.settings), made)


def configured(kind: str, root: Path, settings: dict[str, object], **more: object) -> Source:
    return TypeAdapter(SourceConfig).validate_python({"kind": kind, "name": "it", "root": root, **settings, **more})


def kind_of(member: type[Source]) -> str:
    return str(member.model_fields["kind"].default)


def test_every_member_of_the_union_is_tried_here():
    assert {kind_of(member) for member in MEMBERS} == set(MAKE)


def test_every_module_of_the_package_has_its_config_in_the_union_under_the_modules_name():
    found = {}
    for module in pkgutil.iter_modules(sources.__path__):
        content = importlib.import_module(f"{sources.__name__}.{module.name}")
        for value in vars(content).values():
            if isinstance(value, type) and issubclass(value, Source) and value is not Source:
                found.setdefault(value, module.name)
    assert set(found) == set(MEMBERS)
    assert all(member.__module__.endswith(f".{kind_of(member)}") for member in MEMBERS)


def test_every_config_is_small_and_says_what_its_fields_mean():
    for member in MEMBERS:
        assert len(member.model_fields) <= 12
        silent = [n for n, field in member.model_fields.items() if n != "kind" and not field.description]
        assert silent == []


def test_rows_have_exactly_the_columns_and_dtypes(tried):
    assert {name: str(dtype) for name, dtype in tried.config.read().dtypes.items()} == dict(SOURCE_COLUMNS)


def test_ids_are_unique_and_begin_with_the_sources_name(tried):
    ids = tried.config.read()["id"]
    assert ids.is_unique
    assert ids.str.match(r"it/[^/]").all()


def test_labels_are_known_and_both_classes_or_none_are_found(tried):
    assert set(tried.config.read()["label"]) in ({0, 1}, {-1, 0, 1}, {-1}, {1})


def test_groups_and_sources_begin_with_the_sources_name_and_nothing_is_missing(tried):
    rows = tried.config.read()
    assert rows["group"].str.startswith("it/").all()
    assert rows["source"].str.match(r"it(/[^/]+)?$").all()
    assert not rows.isna().any().any()


def test_paths_are_absolute_and_lead_to_pictures(tried):
    for path in tried.config.read()["path"]:
        assert Path(path).is_absolute()
        with Image.open(path) as opened:
            assert opened.size == (6, 4)


def test_reading_twice_gives_the_same_rows_in_the_same_order(tried):
    assert tried.config.read().equals(tried.config.read())


def test_the_role_of_the_config_is_that_of_all_rows(tried):
    assert set(tried.config.model_copy(update={"role": "val"}).read()["role"]) == {"val"}


def test_a_relative_root_gives_the_same_rows(tried, monkeypatch):
    monkeypatch.chdir(tried.config.root.parent)
    relative = tried.config.model_copy(update={"root": Path(tried.config.root.name)})
    assert relative.read().equals(tried.config.read())


def test_a_config_survives_json(tried):
    union = TypeAdapter(SourceConfig)
    assert union.validate_json(union.dump_json(tried.config)) == tried.config


def test_the_fingerprint_stays_while_nothing_changes_and_reading_does_not_change_it(tried):
    before = source_fingerprint([tried.config])
    tried.config.read()
    assert source_fingerprint([tried.config]) == before


def test_the_fingerprint_changes_with_a_picture(tried):
    before = source_fingerprint([tried.config])
    with tried.made.picture.open("ab") as file:
        file.write(b"more")
    assert source_fingerprint([tried.config]) != before


def test_the_fingerprint_changes_when_a_picture_is_replaced_by_one_of_equal_size(tried):
    before = source_fingerprint([tried.config])
    status = tried.made.picture.stat()
    os.utime(tried.made.picture, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert source_fingerprint([tried.config]) != before


def test_the_fingerprint_changes_with_the_content_of_a_label_file_even_at_equal_size_and_time(tried):
    if tried.made.label_file is None:
        assert tried.config.files() == []
        return
    before, status = source_fingerprint([tried.config]), tried.made.label_file.stat()
    content = tried.made.label_file.read_text()
    at = content.rindex("0")
    tried.made.label_file.write_text(content[:at] + "1" + content[at + 1 :])
    os.utime(tried.made.label_file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert tried.made.label_file in tried.config.files()
    assert source_fingerprint([tried.config]) != before


def test_a_missing_root_is_an_error_that_names_the_path(tried):
    missing = tried.config.model_copy(update={"root": tried.config.root / "nowhere"})
    for act in (missing.read, lambda: read_sources([missing]), lambda: source_fingerprint([missing])):
        with pytest.raises(DataError, match="nowhere"):
            act()


def test_a_missing_root_is_a_warning_that_names_the_path_when_the_source_is_optional(tried, tmp_path):
    other = make_csv(tmp_path / "other") and configured("csv", tmp_path / "other", {}, name="other")
    missing = tried.config.model_copy(update={"root": tried.config.root / "nowhere", "optional": True})
    rows, warnings = read_sources([missing, other])
    assert set(rows["source"]) == {"other"}
    assert len(warnings) == 1
    assert "nowhere" in warnings[0]


def test_a_root_without_anything_in_it_is_an_error(tried):
    shutil.rmtree(tried.config.root)
    tried.config.root.mkdir()
    with pytest.raises(DataError, match="it"):
        tried.config.read()


def test_label_files_that_spreadsheets_saved_read_the_same(tried):
    """A byte-order mark and CRLF, which is what some programs make of a CSV."""
    if tried.made.label_file is None or tried.made.label_file.suffix != ".csv":
        assert all(file.suffix != ".csv" for file in tried.config.files())
        return
    before = tried.config.read()
    lines = tried.made.label_file.read_text().splitlines()
    tried.made.label_file.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*lines, "", ""]).encode())
    assert tried.config.read().equals(before)


def test_pictures_with_spaces_commas_and_umlauts_are_read(tmp_path):
    for name in ("a b.png", "c,d.png", "straße.png"):
        picture(tmp_path / name)
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), ("a b.png", 0), ("c,d.png", 1), ("straße.png", 1)])
    rows = configured("csv", tmp_path, {}).read()
    assert [Path(path).name for path in rows["path"]] == ["a b.png", "c,d.png", "straße.png"]
    assert all(Path(path).is_file() for path in rows["path"])
