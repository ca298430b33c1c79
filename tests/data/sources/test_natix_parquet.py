"""NATIX shards with the pictures inside."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stage1_core.data.sources import NatixParquetSource
from stage1_core.data.sources.source import MissingSourceError
from stage1_core.errors import DataError


def row(content: bytes | None = b"jpg", **changes) -> dict:
    return {
        "image": {"bytes": content, "path": "same.jpg"},
        "label": 1,
        "scene_description": "Work zone",
        "gps": "[40.4441, -79.9959]",
        "city_name": "pittsburgh",
        "video_info": {"frame_id": "1", "seq_id": 3, "vid_id": "v"},
        "scene_level_tags": {"travel_alteration": "['None']"},
        "flickr_url": None,
    } | changes


def shard(root, rows: list[dict], name: str = "train-00000-of-00001", *, flat: bool = False):
    (root / "data").mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(rows)
    if flat:
        image = table.column("image")
        table = table.drop_columns(["image"]).flatten().append_column("image", image)
    path = root / "data" / f"{name}.parquet"
    pq.write_table(table, path, row_group_size=2)
    return path


def source(root, **settings) -> NatixParquetSource:
    return NatixParquetSource(name="n", root=root, **settings)


def test_pictures_of_one_name_become_as_many_files_as_there_are_rows(tmp_path):
    """The historical converter wrote them over one another."""
    contents = [f"picture {i}".encode() for i in range(40)]
    shard(tmp_path, [row(content, label=i % 2) for i, content in enumerate(contents)])
    rows = source(tmp_path).read()
    assert [Path(path).read_bytes() for path in rows["path"]] == contents
    assert list(rows["label"]) == [0, 1] * 20
    assert rows["id"][3] == "n/train-00000-of-00001/000003.jpg"


@pytest.mark.parametrize("flat", [False, True])
def test_videos_are_groups_whether_the_columns_are_nested_or_flat(tmp_path, flat):
    video = {"frame_id": "1", "seq_id": 0, "vid_id": "w"}
    shard(tmp_path, [row(), row(gps="[1, 2]"), row(video_info=video), row(city_name="boston")], flat=flat)
    rows = source(tmp_path).read()
    assert list(rows["group"]) == ["n/pittsburgh/3/v", "n/pittsburgh/3/v", "n/pittsburgh/0/w", "n/boston/3/v"]
    assert set(rows["description"]) == {"Work zone"}


def test_without_a_video_the_rounded_place_is_the_group_and_without_a_place_the_picture(tmp_path):
    nothing = {"frame_id": None, "seq_id": None, "vid_id": None}
    places = ["[40.44411, -79.99591]", "[40.44449, -79.99551]", "[40.4461, -79.9959]", None, "unknown", "[1]", "[]"]
    shard(tmp_path, [row(video_info=nothing, gps=gps) for gps in places] + [row()])
    groups = list(source(tmp_path).read()["group"])
    assert groups[0] == groups[1] == "n/gps 40.444 -79.996"
    assert groups[2] == "n/gps 40.446 -79.996"
    assert groups[3:7] == [f"n/train-00000-of-00001/00000{i}.jpg" for i in range(3, 7)]


def test_test_shards_are_another_source_of_the_same_root(tmp_path):
    shard(tmp_path, [row()])
    shard(tmp_path, [row(label=0), row()], "test-00000-of-00001")
    assert len(source(tmp_path).read()) == 1
    assert len(source(tmp_path, shards="test").read()) == 2


def test_pictures_are_extracted_once(tmp_path):
    shard(tmp_path, [row(), row()])
    config = source(tmp_path, cache_folder=tmp_path / "cache")
    first = config.read()
    before = {path: Path(path).stat().st_mtime_ns for path in first["path"]}
    assert config.read().equals(first)
    assert {path: Path(path).stat().st_mtime_ns for path in first["path"]} == before


def test_a_shard_that_changed_is_extracted_again(tmp_path):
    shard(tmp_path, [row(b"old"), row(b"old")])
    source(tmp_path).read()
    shard(tmp_path, [row(b"new")])
    rows = source(tmp_path).read()
    assert [Path(path).read_bytes() for path in rows["path"]] == [b"new"]
    folder = tmp_path / "extracted/train-00000-of-00001"
    assert {path.name for path in folder.iterdir()} == {"000000.jpg", "rows.parquet"}


@pytest.mark.parametrize("lost", ["000001.jpg", "rows.parquet"])
def test_an_extraction_that_lost_a_file_is_repeated(tmp_path, lost):
    shard(tmp_path, [row(), row()])
    first = source(tmp_path).read()
    (tmp_path / "extracted/train-00000-of-00001" / lost).unlink()
    assert source(tmp_path).read().equals(first)
    assert (tmp_path / "extracted/train-00000-of-00001" / lost).is_file()


def test_what_a_killed_extraction_left_behind_is_replaced(tmp_path):
    shard(tmp_path, [row()])
    partial = tmp_path / "extracted/.train-00000-of-00001.partial"
    partial.mkdir(parents=True)
    (partial / "000000.jpg").write_bytes(b"half")
    (partial / "000001.jpg").write_bytes(b"of another one")
    rows = source(tmp_path).read()
    assert [Path(path).read_bytes() for path in rows["path"]] == [b"jpg"]
    assert not partial.exists()


def test_a_row_without_picture_becomes_an_empty_file_for_the_inspection(tmp_path):
    shard(tmp_path, [row(), row(None)])
    assert Path(source(tmp_path).read()["path"][1]).stat().st_size == 0


@pytest.mark.parametrize("label", [2, -1, None])
def test_a_wrong_label_is_named_with_its_row(tmp_path, label):
    shard(tmp_path, [row(), row(label=label)])
    with pytest.raises(DataError, match=r"train-00000-of-00001\.parquet, row 1: the label is"):
        source(tmp_path).read()


def test_a_shard_without_labels_is_refused(tmp_path):
    pq_rows = [{key: value for key, value in row().items() if key != "label"}]
    shard(tmp_path, pq_rows)
    with pytest.raises(DataError, match="no column label; columns found: image"):
        source(tmp_path).read()


@pytest.mark.parametrize("kept", [0, 4, 200])
def test_a_damaged_shard_is_named(tmp_path, kept):
    path = shard(tmp_path, [row()])
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"train-00000-of-00001\.parquet is not a readable parquet file"):
        source(tmp_path).read()


def test_a_download_that_stopped_half_way_is_an_error(tmp_path):
    shard(tmp_path, [row()], "train-00000-of-00003")
    shard(tmp_path, [row()], "train-00002-of-00003")
    with pytest.raises(DataError, match="has 2 of 3 train shards"):
        source(tmp_path).read()


def test_no_shards_of_the_wanted_name_is_a_missing_source(tmp_path):
    shard(tmp_path, [row()])
    with pytest.raises(MissingSourceError, match=r"no test-\*\.parquet"):
        source(tmp_path, shards="test").read()


def test_a_cache_that_cannot_be_a_folder_is_named(tmp_path):
    shard(tmp_path, [row()])
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="set cache_folder"):
        source(tmp_path, cache_folder=tmp_path / "file" / "cache").read()
