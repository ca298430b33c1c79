"""Rows of one file, divided by whole groups."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import chain

import numpy as np
import pytest

from stage1_core.errors import DataError, SplitUseError
from stage1_core.policy.parts import TELLING_ROWS, as_part, divided, require_contents_apart, require_groups_apart
from stage1_core.predictions import Predictions
from stage1_core.splits import Purpose
from tests.toys import make_predictions, predictions_of

ORDER, CALIBRATE, CERTIFY = Purpose.SELECT_MODEL, Purpose.FIT_CALIBRATOR, Purpose.CERTIFY_POLICY
SHARES = {ORDER: Fraction(3, 10), CALIBRATE: Fraction(1, 10), CERTIFY: Fraction(6, 10)}


@pytest.fixture
def rows() -> Predictions:
    """A thousand rows in groups of four; every tenth is positive."""
    made = make_predictions(
        np.random.default_rng(3), 1000, purpose=Purpose.FINAL_EVALUATION, positive_fraction=0.1, separation=1.0
    )
    return replace(made, groups=np.array([f"site{number // 4}" for number in range(1000)]))


def ids(parts: dict[Purpose, Predictions]) -> dict[Purpose, list[str]]:
    return {purpose: part.scores.ids.tolist() for purpose, part in parts.items()}


def test_every_row_is_in_one_part_and_groups_stay_whole(rows):
    parts = divided(rows, SHARES, seed=0)
    assert list(parts) == [ORDER, CALIBRATE, CERTIFY]
    assert all(part.purpose is purpose for purpose, part in parts.items())
    assert sorted(chain.from_iterable(ids(parts).values())) == sorted(rows.scores.ids.tolist())
    require_groups_apart(parts)


def test_rows_and_positives_keep_the_shares(rows):
    for purpose, part in divided(rows, SHARES, seed=0).items():
        assert len(part) == pytest.approx(1000 * SHARES[purpose], abs=8)
        assert part.labels.sum() == pytest.approx(rows.labels.sum() * SHARES[purpose], abs=4)


def test_labels_stay_with_their_rows(rows):
    truth = dict(zip(rows.scores.ids.tolist(), rows.labels.tolist(), strict=True))
    for part in divided(rows, SHARES, seed=0).values():
        assert [truth[name] for name in part.scores.ids.tolist()] == part.labels.tolist()


def test_the_order_of_the_rows_does_not_matter(rows):
    shuffled = rows.take(np.random.default_rng(0).permutation(len(rows)))
    assert ids(divided(shuffled, SHARES, seed=0)) == ids(divided(rows, SHARES, seed=0))


def test_scores_do_not_matter(rows):
    other = replace(rows, scores=make_predictions(np.random.default_rng(4), 1000).scores)
    assert ids(divided(other, SHARES, seed=0)) == ids(divided(rows, SHARES, seed=0))


def test_another_seed_puts_groups_elsewhere(rows):
    assert ids(divided(rows, SHARES, seed=1)) != ids(divided(rows, SHARES, seed=0))


def test_one_part_gets_everything(rows):
    (part,) = divided(rows, {CERTIFY: Fraction(1)}, seed=0).values()
    assert sorted(part.scores.ids.tolist()) == sorted(rows.scores.ids.tolist())


@pytest.mark.parametrize("groups", [["a"] * 6, list("aaabbb")])
def test_a_part_without_rows_is_refused(groups):
    few = predictions_of(
        np.arange(6.0), np.array([0, 1] * 3), purpose=Purpose.FINAL_EVALUATION, groups=np.array(groups)
    )
    with pytest.raises(DataError, match=f"6 rows in {len(set(groups))} groups are divided into 3 parts"):
        divided(few, SHARES, seed=0)


@pytest.mark.parametrize("purpose", [Purpose.FIT_WEIGHTS, Purpose.SELECT_MODEL, Purpose.FIT_CALIBRATOR])
def test_rows_that_have_decided_something_do_not_certify(rows, purpose):
    with pytest.raises(SplitUseError, match=f"rows read for {purpose}"):
        divided(replace(rows, purpose=purpose), SHARES, seed=0)


@pytest.mark.parametrize("purpose", [ORDER, CALIBRATE])
def test_a_file_of_a_purpose_serves_that_purpose(rows, purpose):
    assert as_part(replace(rows, purpose=purpose), purpose).purpose is purpose


@pytest.mark.parametrize("purpose", [ORDER, CALIBRATE, CERTIFY])
def test_training_rows_serve_none(rows, purpose):
    with pytest.raises(SplitUseError, match="rows read for fit_weights"):
        as_part(replace(rows, purpose=Purpose.FIT_WEIGHTS), purpose)


def test_a_group_in_two_parts_is_refused(rows):
    parts = {ORDER: as_part(rows.take(np.arange(6)), ORDER), CERTIFY: as_part(rows.take(np.arange(6, 20)), CERTIFY)}
    with pytest.raises(DataError, match=r"^1 groups lie in the rows that order and in those that certify, e.g. site1;"):
        require_groups_apart(parts)


def renamed(rows: Predictions) -> Predictions:
    """The same rows in another order, without the ids that would tell."""
    shuffled = rows.take(np.random.default_rng(1).permutation(len(rows)))
    return replace(shuffled, scores=replace(shuffled.scores, ids=np.arange(len(rows)).astype(np.str_)))


def other_rows(n: int, *, seed: int, decimals: int | None = None) -> Predictions:
    rng = np.random.default_rng(seed)
    margins = rng.normal(0, 4, n)
    return predictions_of(margins if decimals is None else margins.round(decimals), rng.random(n) < 0.5)


def test_rows_in_another_order_are_the_same_rows(rows):
    with pytest.raises(DataError, match=r"^a and b hold the same rows: 1000 of 1000 that can be told apart agree"):
        require_contents_apart({"a": rows, "b": renamed(rows)})


def test_rows_in_single_precision_are_the_same_rows(rows):
    scores = rows.scores
    single = replace(rows, scores=replace(scores, logits=scores.logits.astype(np.float32)))
    with pytest.raises(DataError, match="1000 of 1000"):
        require_contents_apart({"a": rows, "b": renamed(single)})


@pytest.mark.parametrize(("shared", "refused"), [(501, True), (500, False)])
def test_more_than_half_of_the_smaller_file_must_be_shared(shared, refused):
    margins = np.random.default_rng(2).permutation(np.arange(1, 4000)) / 7
    labels = np.ones(2000)
    larger = predictions_of(margins[:2000], labels)
    smaller = predictions_of(margins[2000 - shared : 3000 - shared], labels[:1000])
    if not refused:
        assert require_contents_apart({"a": larger, "b": smaller})
        return
    with pytest.raises(DataError, match=f"{shared} of 1000"):
        require_contents_apart({"a": larger, "b": smaller})


def test_the_same_scores_under_other_labels_are_other_rows(rows):
    assert require_contents_apart({"a": rows, "b": replace(rows, labels=1 - rows.labels)})


def test_gates_tell_rows_apart_where_both_files_have_them(rows):
    first, second = (
        replace(rows, scores=replace(rows.scores, gate_logits=np.random.default_rng(seed).normal(size=1000)))
        for seed in (0, 1)
    )
    assert require_contents_apart({"a": first, "b": second})
    for one, other in ((first, renamed(first)), (first, rows)):
        with pytest.raises(DataError, match="1000 of 1000"):
            require_contents_apart({"a": one, "b": other})


def test_other_rows_are_never_taken_for_the_same_however_coarse_the_scores_are():
    for values in (60, 100, 200):  # as many rows as values there are is the worst case
        for seed in range(60):
            rng = np.random.default_rng(seed)
            one, other = (predictions_of(rng.integers(0, values, values), np.ones(values)) for _ in range(2))
            require_contents_apart({"a": one, "b": other})


def test_scores_that_hardly_differ_say_nothing():
    coarse = other_rows(1000, seed=0, decimals=0)
    few = other_rows(TELLING_ROWS - 1, seed=0)
    for rows in (coarse, few):
        assert not require_contents_apart({"a": rows, "b": renamed(rows)})
    with pytest.raises(DataError, match=f"{TELLING_ROWS} of {TELLING_ROWS}"):
        require_contents_apart({"a": other_rows(TELLING_ROWS, seed=0), "b": other_rows(TELLING_ROWS, seed=0)})


def test_logits_beyond_single_precision_are_compared_too():
    huge = predictions_of(np.linspace(-1e100, 1e100, 100), np.ones(100))
    assert not require_contents_apart({"a": huge, "b": renamed(huge)})
