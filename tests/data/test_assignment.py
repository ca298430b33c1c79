from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stage1_core.data.assignment import GroupCounts, assigned

SHARES = [Fraction(33, 100), Fraction(33, 100), Fraction(34, 100)]


def counts(pairs: list[tuple[int, int]]) -> GroupCounts:
    sizes = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return GroupCounts([f"group {k}" for k in range(len(pairs))], sizes[:, 0], sizes[:, 1])


pure_groups = st.lists(st.one_of(st.tuples(st.integers(1, 30), st.just(0)), st.tuples(st.just(0), st.integers(1, 30))))
any_groups = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)).filter(any))
shares = st.lists(st.integers(1, 100), min_size=2, max_size=4).map(
    lambda parts: [Fraction(p, sum(parts)) for p in parts]
)


def excess(sizes: np.ndarray, part: np.ndarray, wanted: list[Fraction]) -> list[Fraction]:
    """Rows of each part beyond its share."""
    total = int(sizes.sum())
    return [int(sizes[part == index].sum()) - share * total for index, share in enumerate(wanted)]


@given(pairs=pure_groups, wanted=shares, seed=st.integers(0, 10))
def test_each_class_keeps_its_shares_to_within_one_group(
    pairs: list[tuple[int, int]], wanted: list[Fraction], seed: int
) -> None:
    groups = counts(pairs)
    part = assigned(groups, wanted, seed=seed, step="split")
    for sizes in (groups.negatives, groups.positives):
        assert all(abs(rows) <= int(sizes.max(initial=0)) for rows in excess(sizes, part, wanted))


@given(pairs=any_groups, wanted=shares)
def test_positives_keep_their_shares_to_within_one_group_even_in_groups_of_both_classes(
    pairs: list[tuple[int, int]], wanted: list[Fraction]
) -> None:
    groups = counts(pairs)
    part = assigned(groups, wanted, seed=0, step="split")
    largest = int(groups.positives.max(initial=0))
    assert all(abs(rows) <= largest for rows in excess(groups.positives, part, wanted))


def test_negatives_that_came_along_with_positives_are_made_up_for_by_the_others() -> None:
    # One drive holds both classes; pure negatives fill the other parts up to the same number.
    groups = counts([(30, 1), (0, 1), (0, 1)] + [(1, 0)] * 60)
    part = assigned(groups, [Fraction(1, 3)] * 3, seed=5, step="split")
    assert [int(groups.negatives[part == index].sum()) for index in range(3)] == [30, 30, 30]


@given(pairs=any_groups, order=st.randoms(use_true_random=False))
def test_the_order_of_groups_does_not_matter(pairs: list[tuple[int, int]], order: object) -> None:
    groups = counts(pairs)
    place = list(range(len(pairs)))
    order.shuffle(place)  # type: ignore[attr-defined]
    shuffled = GroupCounts([groups.names[k] for k in place], groups.negatives[place], groups.positives[place])
    expected = assigned(groups, SHARES, seed=1, step="split")[place]
    assert assigned(shuffled, SHARES, seed=1, step="split").tolist() == expected.tolist()


@pytest.mark.parametrize(("seed", "step"), [(1, "split"), (0, "half")])
def test_another_seed_or_step_is_another_cut(seed: int, step: str) -> None:
    groups = counts([(1, 0)] * 50)
    first = assigned(groups, SHARES, seed=0, step="split")
    assert assigned(groups, SHARES, seed=seed, step=step).tolist() != first.tolist()


def test_the_cut_of_ten_named_groups_never_changes() -> None:
    # The ledgers that people hold depend on it. Oracle: stand in the order of sha256("7:split:<name>"), middles at
    # 0.5, 1.5, ..., parts end at 3.3 and 6.6.
    groups = counts([(1, 0)] * 10)
    assert assigned(groups, SHARES, seed=7, step="split").tolist() == [0, 1, 2, 2, 1, 0, 1, 0, 1, 2]
