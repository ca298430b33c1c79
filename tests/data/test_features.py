from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stage1_core.data.features import FeatureSpace, FeatureStore
from stage1_core.errors import DataError

SPACE = FeatureSpace(backbone_digest="b" * 64, transform_digest="t" * 64, hidden=3)
ROW_BYTES = 12


def names(*numbers: int) -> list[str]:
    return [f"{number:064x}" for number in numbers]


def vectors(*numbers: int) -> np.ndarray:
    return np.array([[number, number + 0.25, -number] for number in numbers], dtype=np.float32)


def fill(folder: Path, *blocks: list[int]) -> FeatureStore:
    store = FeatureStore.create(folder, SPACE)
    with store.writing():
        for block in blocks:
            store.append(names(*block), vectors(*block))
    return store


def reopened(folder: Path) -> FeatureStore:
    store = FeatureStore.open(folder, backbone_digest=SPACE.backbone_digest, transform_digest=SPACE.transform_digest)
    assert store is not None
    return store


def data_file(folder: Path) -> Path:
    return SPACE.folder(folder) / "features.f32"


def index_file(folder: Path) -> Path:
    return SPACE.folder(folder) / "index.jsonl"


def test_what_was_appended_is_read_in_any_order(tmp_path: Path):
    fill(tmp_path, [1, 2, 3], [4, 5])

    assert np.array_equal(reopened(tmp_path).read(names(5, 1, 4, 1)), vectors(5, 1, 4, 1))


def test_rows_that_lie_together_are_memory_mapped(tmp_path: Path):
    store = fill(tmp_path, [1, 2, 3], [4, 5])

    assert isinstance(store.read(names(2, 3, 4)), np.memmap)
    assert np.array_equal(store.read(names(2, 3, 4)), vectors(2, 3, 4))


def test_writing_to_what_was_read_does_not_change_the_store(tmp_path: Path):
    store = fill(tmp_path, [1, 2])
    store.read(names(1, 2))[:] = 7

    assert np.array_equal(reopened(tmp_path).read(names(1, 2)), vectors(1, 2))


def test_no_rows_give_an_empty_matrix_of_the_right_width(tmp_path: Path):
    assert fill(tmp_path, [1]).read([]).shape == (0, 3)


def test_missing_names_each_absent_picture_once_in_order(tmp_path: Path):
    assert fill(tmp_path, [1]).missing(names(3, 1, 2, 3)) == names(3, 2)


def test_reading_what_is_missing_says_so(tmp_path: Path):
    with pytest.raises(DataError, match="1 pictures have no features"):
        fill(tmp_path, [1]).read(names(1, 2))


def test_an_absent_store_opens_as_none(tmp_path: Path):
    assert FeatureStore.open(tmp_path, backbone_digest="x", transform_digest="y") is None


def test_other_backbones_and_transforms_have_other_folders(tmp_path: Path):
    spaces = [
        SPACE,
        SPACE.model_copy(update={"backbone_digest": "c"}),
        SPACE.model_copy(update={"transform_digest": "c"}),
    ]

    assert len({space.folder(tmp_path) for space in spaces}) == 3


def test_a_store_of_another_width_is_refused(tmp_path: Path):
    fill(tmp_path, [1])

    with pytest.raises(DataError, match="3 wide, not 4"):
        FeatureStore.create(tmp_path, SPACE.model_copy(update={"hidden": 4}))


def test_data_without_index_is_dropped_by_the_next_writer(tmp_path: Path):
    fill(tmp_path, [1, 2])
    with data_file(tmp_path).open("ab") as file:
        file.write(b"half a vector")  # killed between data and index
    store = fill(tmp_path, [3])

    assert data_file(tmp_path).stat().st_size == 3 * ROW_BYTES
    assert np.array_equal(store.read(names(1, 2, 3)), vectors(1, 2, 3))


@given(lost=st.integers(1, 200))
def test_an_index_cut_anywhere_loses_only_the_cut_blocks(tmp_path_factory, lost):
    folder = tmp_path_factory.mktemp("store")
    fill(folder, [1, 2], [3])
    content = index_file(folder).read_bytes()
    index_file(folder).write_bytes(content[: max(0, len(content) - lost)])

    missing = reopened(folder).missing(names(1, 2, 3))
    store = fill(folder, *([[int(name, 16) for name in missing]] if missing else []))

    assert names(3)[0] in missing
    assert np.array_equal(store.read(names(1, 2, 3)), vectors(1, 2, 3))
    assert np.array_equal(reopened(folder).read(names(3, 2, 1)), vectors(3, 2, 1))


@given(position=st.integers(0, 3 * ROW_BYTES - 1))
def test_a_flipped_byte_makes_its_block_missing_and_no_other(tmp_path_factory, position):
    folder = tmp_path_factory.mktemp("store")
    fill(folder, [1, 2], [3])
    content = bytearray(data_file(folder).read_bytes())
    content[position] ^= 0x40
    data_file(folder).write_bytes(content)

    expected = names(1, 2) if position < 2 * ROW_BYTES else names(3)

    assert reopened(folder).missing(names(1, 2, 3)) == expected


def test_a_damaged_block_can_be_made_again(tmp_path: Path):
    fill(tmp_path, [1, 2], [3])
    data_file(tmp_path).write_bytes(b"\0" * 2 * ROW_BYTES + data_file(tmp_path).read_bytes()[2 * ROW_BYTES :])
    fill(tmp_path, [1, 2])

    assert np.array_equal(reopened(tmp_path).read(names(1, 2, 3)), vectors(1, 2, 3))


def test_a_data_file_cut_short_loses_the_blocks_beyond_its_end(tmp_path: Path):
    fill(tmp_path, [1, 2], [3, 4])
    content = data_file(tmp_path).read_bytes()
    data_file(tmp_path).write_bytes(content[: 3 * ROW_BYTES + 5])
    assert reopened(tmp_path).missing(names(1, 2, 3, 4)) == names(3, 4)
    fill(tmp_path, [5, 6, 7])  # now long enough again for the stale index line

    store = reopened(tmp_path)

    assert store.missing(names(1, 2, 3, 4, 5, 6, 7)) == names(3, 4)
    assert np.array_equal(store.read(names(5, 6, 7, 1)), vectors(5, 6, 7, 1))


def test_a_damaged_index_line_costs_its_block_only(tmp_path: Path):
    fill(tmp_path, [1, 2], [3])
    first, second, _ = index_file(tmp_path).read_bytes().split(b"\n")
    index_file(tmp_path).write_bytes(first[:-1] + b"x\n" + second + b"\n")

    assert reopened(tmp_path).missing(names(1, 2, 3)) == names(1, 2)


def test_a_writer_sees_what_another_wrote_while_it_waited(tmp_path: Path):
    mine, other = FeatureStore.create(tmp_path, SPACE), FeatureStore.create(tmp_path, SPACE)
    entered = threading.Event()
    missing: list[list[str]] = []

    def wait_and_look() -> None:
        entered.set()
        with mine.writing():
            missing.append(mine.missing(names(1, 2)))

    thread = threading.Thread(target=wait_and_look)
    with other.writing():
        thread.start()
        entered.wait()
        other.append(names(1), vectors(1))
    thread.join()

    assert missing == [names(2)]


def test_a_reader_during_a_write_sees_whole_blocks(tmp_path: Path):
    store = FeatureStore.create(tmp_path, SPACE)
    with store.writing():
        store.append(names(1), vectors(1))
        with index_file(tmp_path).open("ab") as file:
            file.write(b"00000000 [1,2")  # a line in the middle of being written
        assert reopened(tmp_path).missing(names(1, 2)) == names(2)
