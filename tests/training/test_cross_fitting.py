from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stage1_core.errors import CheckpointError, DataError
from stage1_core.model.classifier import predict_features
from stage1_core.training.averaging import NoAverageConfig
from stage1_core.training.batching import BatchConfig
from stage1_core.training.correctness_gate import CorrectnessGateConfig
from stage1_core.training.cross_fitting import cross_fitting_folds, held_out_correctness, with_held_out_correctness
from stage1_core.training.loop import train
from stage1_core.training.optimizer import AdamWConfig
from stage1_core.training.selection import SelectionConfig
from tests.training.toys import feature_rows, select_rows, tiny_head, training

GATED = training(objective=CorrectnessGateConfig(folds=3), epochs=2)


def groups_of_three(rows):
    return np.array([f"scene/{row // 3}" for row in range(rows)])


def build():
    return tiny_head(gated=True)


def cross_fitted(rows=None, config=GATED, folder=None, **options):
    rows = rows or feature_rows()
    groups = options.pop("groups", groups_of_three(len(rows.labels)))
    build_model = options.pop("build_model", build)
    return with_held_out_correctness(
        rows, groups, select_rows(), build_model, config, folder, identity=options.pop("identity", "toy"), **options
    )


@given(
    labels=st.lists(st.integers(0, 1), min_size=30, max_size=90),
    size=st.integers(1, 4),
    folds=st.integers(2, 5),
    seed=st.integers(0, 5),
)
@settings(max_examples=60)
def test_folds_keep_groups_whole_and_share_the_classes_out(labels, size, folds, seed):
    labels = np.array(labels)
    groups = np.array([f"g{row // size}" for row in range(len(labels))])
    try:
        fold = cross_fitting_folds(labels, groups, folds, seed=seed)
    except DataError:
        positive = [(labels[groups == group] == 1).any() for group in np.unique(groups)]
        assert min(sum(positive), len(positive) - sum(positive)) <= 2 * folds
        return
    assert all(len(set(fold[groups == group])) == 1 for group in np.unique(groups))
    positives = np.bincount(fold[labels == 1], minlength=folds)
    assert positives.max() - positives.min() <= 2 * size


def test_folds_depend_on_names_and_seed_and_not_on_the_order_of_rows(rng):
    labels, groups = rng.integers(0, 2, 120), groups_of_three(120)
    fold = cross_fitting_folds(labels, groups, 4, seed=1)
    order = rng.permutation(120)
    assert np.array_equal(cross_fitting_folds(labels[order], groups[order], 4, seed=1), fold[order])
    assert not np.array_equal(cross_fitting_folds(labels, groups, 4, seed=2), fold)


def test_a_fold_without_a_class_is_refused_with_what_to_do():
    labels = (np.arange(60) < 6).astype(np.int64)
    with pytest.raises(DataError, match=r"of 5 got no row of class 1: .* hold 6 of them in 2 groups; use fewer folds"):
        cross_fitting_folds(labels, groups_of_three(60), 5, seed=0)


def test_rows_are_returned_as_they_are_where_no_answers_are_needed():
    rows = feature_rows()
    assert cross_fitted(rows, training()) is rows


def test_each_fold_is_answered_by_a_model_that_has_not_seen_it():
    rows, fresh = feature_rows(), iter(range(9))
    found = cross_fitted(rows, build_model=lambda: tiny_head(seed=next(fresh)))
    fold = cross_fitting_folds(rows.labels, groups_of_three(75), 3, seed=GATED.seed)
    for index in range(3):
        inside, outside = np.flatnonzero(fold == index), np.flatnonzero(fold != index)
        plain = GATED.model_copy(update={"objective": GATED.objective.classes})
        head = tiny_head(seed=index)
        *_, last = train(head, rows.take(outside), select_rows(), plain)
        head.load_state_dict(last.state().averages)
        scores = predict_features(head, rows.features[inside].numpy(), rows.ids[inside])
        right = (scores.margin_logits >= 0) == rows.labels[inside]
        assert found.held_out_correct[inside].tolist() == right.tolist()
    assert found.features is rows.features


def test_labels_of_the_held_out_rows_do_not_reach_their_own_answers():
    rows = feature_rows()
    fold = np.arange(75) % 4 == 0
    turned = replace(rows, labels=np.where(fold, 1 - rows.labels, rows.labels))
    outside, inside = np.flatnonzero(~fold), np.flatnonzero(fold)
    answers, opposite = (
        held_out_correctness(some.take(outside), some.take(inside), select_rows(), build(), GATED)
        for some in (rows, turned)
    )
    assert np.array_equal(answers, ~opposite)


def test_selection_rows_decide_nothing():
    rows = feature_rows()
    fold = np.arange(75) % 4 == 0
    parts = rows.take(np.flatnonzero(~fold)), rows.take(np.flatnonzero(fold))
    impatient = GATED.model_copy(update={"selection": SelectionConfig(patience=1), "epochs": 12})
    one, other = (
        held_out_correctness(*parts, select, build(), impatient)
        for select in (select_rows(), select_rows(80, signal=-0.8))
    )
    assert np.array_equal(one, other)


def test_held_out_answers_are_as_right_as_on_new_rows_where_a_model_is_always_right_on_its_own(rng):
    """A fifth of the labels is wrong, and the head is large enough to learn them by heart."""
    rows = feature_rows(rows=240, signal=3.0)
    noisy = replace(rows, labels=np.where(rng.random(240) < 0.2, 1 - rows.labels, rows.labels))
    config = GATED.model_copy(
        update={
            "epochs": 150,
            "optimizer": AdamWConfig(lr_head=0.03),
            "average": NoAverageConfig(),
            "batch": BatchConfig(sizes=(32,)),
        }
    )
    groups = np.arange(240).astype(np.str_)
    found = cross_fitted(noisy, config, groups=groups, build_model=lambda: tiny_head(dropout=0.0))
    own = held_out_correctness(noisy, noisy, select_rows(), tiny_head(dropout=0.0), config)
    new = feature_rows(rows=2000, seed=9, signal=3.0)
    turned = replace(new, labels=np.where(rng.random(2000) < 0.2, 1 - new.labels, new.labels))
    on_new = held_out_correctness(noisy, turned, select_rows(), tiny_head(dropout=0.0), config)
    assert own.mean() > 0.97
    assert found.held_out_correct.mean() == pytest.approx(on_new.mean(), abs=0.09)
    assert found.held_out_correct.mean() < 0.85


def test_a_killed_call_goes_on_with_the_fold_it_was_in(tmp_path):
    whole = cross_fitted()

    def killed(done, folds):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cross_fitted(folder=tmp_path, on_progress=killed)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fold-1.json", "fold-2.json"]
    built = []
    found = cross_fitted(folder=tmp_path, build_model=lambda: built.append(1) or build())
    assert len(built) == 1
    assert np.array_equal(found.held_out_correct, whole.held_out_correct)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"identity": "toy"}'])
def test_a_fold_whose_answers_cannot_be_read_is_fitted_again(tmp_path, content):
    whole = cross_fitted(folder=tmp_path)
    kept = (tmp_path / "fold-2.json").read_bytes()
    (tmp_path / "fold-2.json").write_bytes(content)
    built = []
    found = cross_fitted(folder=tmp_path, build_model=lambda: built.append(1) or build())
    assert len(built) == 1
    assert np.array_equal(found.held_out_correct, whole.held_out_correct)
    assert (tmp_path / "fold-2.json").read_bytes() == kept


def test_answers_of_another_configuration_are_refused(tmp_path):
    cross_fitted(folder=tmp_path, identity="one")
    with pytest.raises(CheckpointError, match=r"belongs to another configuration \(one, not other\)"):
        cross_fitted(folder=tmp_path, identity="other")


def test_progress_is_reported_for_each_fold():
    seen = []
    cross_fitted(on_progress=lambda *at: seen.append(at))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_gate_can_be_fitted_to_the_answers():
    rows = cross_fitted()
    *_, last = train(build(), rows, select_rows(), GATED)
    assert last.metrics.gate.std_probability > 0
