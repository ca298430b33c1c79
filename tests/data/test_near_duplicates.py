from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stage1_core.data.near_duplicates import near_duplicate_groups

Hashes = NDArray[np.uint64]


def by_all_pairs(hashes: Hashes, distance: int) -> list[int]:
    """Groups by walking from hash to hash, numbered by first appearance: the definition, without any index."""
    near = np.bitwise_count(hashes[:, None] ^ hashes[None, :]) <= distance
    label = [-1] * len(hashes)
    for start in range(len(hashes)):
        if label[start] >= 0:
            continue
        number = max(label) + 1
        reached = [start]
        while reached:
            here = reached.pop()
            if label[here] < 0:
                label[here] = number
                reached.extend(np.flatnonzero(near[here]).tolist())
    return label


def flipped(base: int, n: int, flips: int, rng: np.random.Generator) -> Hashes:
    """``n`` hashes that differ from ``base`` in at most ``flips`` bits."""
    hashes = np.full(n, base, dtype=np.uint64)
    for _ in range(flips):
        hashes ^= np.uint64(1) << rng.integers(0, 64, n).astype(np.uint64)
    return hashes


@st.composite
def clustered_hashes(draw: st.DrawFn) -> Hashes:
    """A few centres, many hashes near them: where bands collide and chains form."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    centres = draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4))
    flips, n = draw(st.integers(0, 12)), draw(st.integers(1, 120))
    parts = [flipped(centre, n, flips, rng) for centre in centres]
    return rng.permutation(np.concatenate(parts))


@given(hashes=clustered_hashes(), distance=st.integers(0, 8))
def test_groups_are_those_of_comparing_all_pairs(hashes: Hashes, distance: int) -> None:
    assert near_duplicate_groups(hashes, distance).tolist() == by_all_pairs(hashes, distance)


@given(words=st.lists(st.integers(0, 2**14 - 1), min_size=1, max_size=400), distance=st.integers(0, 4))
@settings(max_examples=50)
def test_dense_hashes_that_share_most_bits_are_grouped_exactly(words: list[int], distance: int) -> None:
    # 14 bits spread over all bands.
    spread = sum(
        ((np.array(words, dtype=np.uint64) >> np.uint64(b)) & np.uint64(1)) << np.uint64(b * 4) for b in range(14)
    )
    assert near_duplicate_groups(spread, distance).tolist() == by_all_pairs(spread, distance)


def test_a_chain_of_near_hashes_is_one_group_though_its_ends_are_far_apart() -> None:
    chain = np.array([(1 << k) - 1 for k in range(0, 61, 3)], dtype=np.uint64)
    assert near_duplicate_groups(chain, 3).tolist() == [0] * len(chain)
    assert near_duplicate_groups(chain, 2).tolist() == list(range(len(chain)))


def test_no_hashes_give_no_groups() -> None:
    assert near_duplicate_groups(np.array([], dtype=np.uint64), 3).shape == (0,)


def degenerate() -> dict[str, Hashes]:
    rng = np.random.default_rng(3)
    base = 0x9F3C_5A77_01E8_D24B
    return {
        "identical": np.full(100_000, base, dtype=np.uint64),
        "within three bits of one": flipped(base, 100_000, 3, rng),
        "all words of 15 bits": np.arange(2**15, dtype=np.uint64),
        "one large bucket in three of four bands": rng.integers(0, 2**16, 60_000).astype(np.uint64) << np.uint64(40),
    }


@pytest.mark.parametrize("name", degenerate())
def test_degenerate_hashes_end_quickly_in_one_group(name: str) -> None:
    # Listing the pairs of any of these would be 10^8 to 10^10 edges; a machine busy with other work needs some room.
    hashes = degenerate()[name]
    start = time.process_time()
    assert near_duplicate_groups(hashes, 3).max() == 0
    assert time.process_time() - start < 10


def test_a_crowd_of_hashes_that_are_all_just_too_far_apart_ends_quickly() -> None:
    # Even-weight words repeated twice: every two differ in at least four bits, yet most agree in some band.
    words = np.arange(2**15, dtype=np.uint64)
    even = words << np.uint64(1) | (np.bitwise_count(words).astype(np.uint64) & np.uint64(1))
    hashes = even | even << np.uint64(32)
    start = time.process_time()
    assert near_duplicate_groups(hashes, 3).max() + 1 == len(hashes)
    assert time.process_time() - start < 10
