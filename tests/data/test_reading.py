"""All sources as one table, and the key that stands for what would be read."""

import os

import pytest

from stage1_core.data.columns import SOURCE_COLUMNS
from stage1_core.data.reading import read_sources, source_fingerprint
from stage1_core.data.sources import CsvSource, NatixCsvSource, UnlabeledSource
from stage1_core.errors import DataError


@pytest.fixture
def natix(tmp_path):
    (tmp_path / "natix/train").mkdir(parents=True)
    for name in "ab":
        (tmp_path / f"natix/train/{name}.jpg").write_bytes(b"1")
    (tmp_path / "natix/train_labels.csv").write_text("b.jpg,1\n./a.jpg,0\n")
    return NatixCsvSource(name="natix", root=tmp_path / "natix", role="val")


@pytest.fixture
def extra(tmp_path):
    (tmp_path / "extra").mkdir()
    (tmp_path / "extra/c.jpg").write_bytes(b"1")
    return UnlabeledSource(name="extra", root=tmp_path / "extra", group_pattern=r"(\d+)", role="train")


def test_rows_follow_the_order_of_the_sources_and_of_their_files(natix, extra):
    rows, _ = read_sources([natix, extra])
    assert list(rows["id"]) == ["natix/train/b.jpg", "natix/train/a.jpg", "extra/c.jpg"]
    assert list(rows["role"]) == ["val", "val", "train"]
    assert list(rows.index) == [0, 1, 2]
    assert {name: str(dtype) for name, dtype in rows.dtypes.items()} == dict(SOURCE_COLUMNS)


def test_remarks_are_warnings_that_name_the_source(natix, extra):
    _, warnings = read_sources([natix, extra])
    assert len(warnings) == 1
    assert warnings[0].startswith("source 'extra': group_pattern")


def test_two_sources_of_one_name_are_refused(natix, extra):
    with pytest.raises(DataError, match="two sources are called 'natix'"):
        read_sources([natix, extra, extra.model_copy(update={"name": "natix"})])


def test_an_optional_source_is_not_forgiven_a_wrong_label(natix):
    (natix.root / "train_labels.csv").write_text("a.jpg,7\n")
    with pytest.raises(DataError, match="line 1"):
        read_sources([natix.model_copy(update={"optional": True})])


@pytest.mark.parametrize("optional", [True, False])
def test_a_missing_label_file_is_forgiven_only_where_the_source_is_optional(natix, extra, optional):
    (natix.root / "train_labels.csv").unlink()
    configs = [natix.model_copy(update={"optional": optional}), extra]
    if optional:
        rows, warnings = read_sources(configs)
        assert set(rows["source"]) == {"extra"}
        assert "train_labels.csv" in warnings[0]
    else:
        with pytest.raises(DataError, match=r"train_labels\.csv"):
            read_sources(configs)


def test_nothing_at_all_is_an_error(tmp_path):
    nowhere = CsvSource(name="x", root=tmp_path / "nowhere", optional=True)
    for configs in ([], [nowhere]):
        with pytest.raises(DataError, match="no rows"):
            read_sources(configs)


def test_the_fingerprint_sees_an_optional_source_arrive(natix, tmp_path):
    late = UnlabeledSource(name="late", root=tmp_path / "late", optional=True)
    before = source_fingerprint([natix, late])
    (tmp_path / "late").mkdir()
    (tmp_path / "late/x.jpg").touch()
    assert source_fingerprint([natix, late]) != before


def test_the_fingerprint_sees_a_missing_picture_arrive(natix):
    (natix.root / "train/b.jpg").unlink()
    before = source_fingerprint([natix])
    (natix.root / "train/b.jpg").touch()
    assert source_fingerprint([natix]) != before


def test_the_fingerprint_sees_pictures_under_untidy_names(natix):
    before = source_fingerprint([natix])
    (natix.root / "train/a.jpg").write_bytes(b"longer")
    assert source_fingerprint([natix]) != before


def test_the_fingerprint_ignores_pictures_that_are_not_listed(natix):
    before = source_fingerprint([natix])
    (natix.root / "train/unlisted.jpg").touch()
    assert source_fingerprint([natix]) == before


@pytest.mark.parametrize("change", [{"role": "pool"}, {"name": "other"}, {"optional": True}])
def test_the_fingerprint_sees_the_config(natix, change):
    assert source_fingerprint([natix.model_copy(update=change)]) != source_fingerprint([natix])


def test_the_fingerprint_depends_on_the_order_of_sources(natix, extra):
    assert source_fingerprint([natix, extra]) != source_fingerprint([extra, natix])


def test_the_fingerprint_survives_links_to_nothing_and_missing_folders(natix, tmp_path):
    (natix.root / "train/a.jpg").unlink()
    (natix.root / "train/a.jpg").symlink_to(tmp_path / "nowhere.jpg")
    with (natix.root / "train_labels.csv").open("a") as file:
        file.write(f"{tmp_path}/no_folder/x.jpg,1\n")
    before = source_fingerprint([natix])
    (tmp_path / "nowhere.jpg").touch()
    assert source_fingerprint([natix]) != before


def test_the_fingerprint_opens_no_picture(natix):
    """Pictures may be larger than memory together; a time of access that stands still is the proof."""
    picture = natix.root / "train/a.jpg"
    picture.chmod(0)
    os.utime(picture, ns=(1, 1))
    source_fingerprint([natix])
    assert picture.stat().st_atime_ns == 1
