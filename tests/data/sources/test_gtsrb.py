"""Traffic-sign crops."""

import pytest

from stage1_core.data.sources import GtsrbSource
from stage1_core.errors import DataError

HEAD = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId\n"


def write_class(root, sign: int, *, tracks: int = 2, frames: int = 3, class_id: int | None = None) -> None:
    folder = root / "Final_Training/Images" / f"{sign:05d}"
    folder.mkdir(parents=True)
    names = [f"{track:05d}_{frame:05d}.ppm" for track in range(tracks) for frame in range(frames)]
    for name in names:
        (folder / name).touch()
    lines = "".join(f"{name};29;30;5;6;24;25;{sign if class_id is None else class_id}\n" for name in names)
    (folder / f"GT-{sign:05d}.csv").write_text(HEAD + lines)


def test_class_25_is_positive_and_frames_of_one_track_are_one_group(tmp_path):
    write_class(tmp_path, 25)
    write_class(tmp_path, 14)
    rows = GtsrbSource(name="g", root=tmp_path).read()
    assert list(rows["label"]) == [0] * 6 + [1] * 6
    assert list(rows["group"].unique()) == ["g/14/00000", "g/14/00001", "g/25/00000", "g/25/00001"]


def test_the_kaggle_copy_is_read_without_label_files_and_gives_the_same_groups(tmp_path):
    for sign in (3, 25):
        (tmp_path / "Train" / str(sign)).mkdir(parents=True)
        for frame in range(2):
            (tmp_path / "Train" / str(sign) / f"{sign:05d}_00007_{frame:05d}.png").touch()
    rows = GtsrbSource(name="g", root=tmp_path, image_folder="Train").read()
    assert list(rows["label"]) == [1, 1, 0, 0]  # by folder name: "25" comes before "3"
    assert list(rows["group"]) == ["g/25/00007"] * 2 + ["g/3/00007"] * 2


def test_a_label_file_of_another_class_is_refused(tmp_path):
    write_class(tmp_path, 25, class_id=24)
    with pytest.raises(DataError, match="line 2: ClassId is '24' in the folder of class 25"):
        GtsrbSource(name="g", root=tmp_path).read()


def test_crops_of_one_label_only_are_remarked_on(tmp_path):
    write_class(tmp_path, 25)
    listing = GtsrbSource(name="g", root=tmp_path).listing()
    assert "all crops have label 1" in listing.remarks[0]


def test_a_folder_without_class_folders_is_refused(tmp_path):
    (tmp_path / "Final_Training/Images").mkdir(parents=True)
    with pytest.raises(DataError, match="no class folders"):
        GtsrbSource(name="g", root=tmp_path).read()
