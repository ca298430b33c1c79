from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from stage1_core.data.features import Features
from stage1_core.data.ledger import CutPool, split
from stage1_core.errors import DataError
from stage1_core.splits import Purpose
from stage1_core.training.rows import FeatureRows, sequential_plan, split_order
from tests.data.sample_rows import sample_rows
from tests.training.toys import feature_rows


def test_batches_are_the_rows_asked_for_in_the_order_asked_for():
    rows = feature_rows(rows=10)
    (first, targets), (second, _) = rows.batches([np.array([7, 2]), np.array([5])], epoch=1)
    assert torch.equal(first, rows.features[[7, 2]])
    assert targets.labels.tolist() == rows.labels[[7, 2]].tolist()
    assert targets.held_out_correct is None
    assert torch.equal(second, rows.features[[5]])


def test_answers_of_other_models_travel_with_their_rows():
    rows = replace(feature_rows(rows=10), held_out_correct=np.arange(10) % 3 / 2)
    ((_, targets),) = rows.take(np.array([8, 4, 1])).on(torch.device("cpu")).batches([np.array([0, 2])], epoch=1)
    assert targets.held_out_correct.dtype == torch.float32
    assert targets.held_out_correct.tolist() == [1.0, 0.5]


def test_an_answer_too_few_is_refused():
    with pytest.raises(DataError, match=r"held_out_correct has shape \(9,\) for 10 ids"):
        replace(feature_rows(rows=10), held_out_correct=np.ones(9))


def test_features_may_come_from_a_read_only_memory_map(tmp_path):
    values = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    np.save(tmp_path / "values.npy", values)
    mapped = np.load(tmp_path / "values.npy", mmap_mode="r")
    rows = FeatureRows.of(Purpose.FIT_WEIGHTS, np.array(list("abcd")), mapped, np.array([0, 1, 0, 1], dtype=np.int8))
    assert np.array_equal(rows.features.numpy(), values)
    assert rows.labels.dtype == np.int64


def test_ids_may_come_from_a_table():
    ids = pd.Series(["a", "b"])
    rows = FeatureRows.of(Purpose.FIT_WEIGHTS, ids.to_numpy(), np.zeros((2, 3), dtype=np.float32), np.array([0, 1]))
    assert rows.ids.dtype.kind == "U"


def test_unequal_lengths_are_refused_with_all_three():
    with pytest.raises(DataError, match="10 feature rows and 9 labels for 10 ids"):
        replace(feature_rows(rows=10), labels=feature_rows(rows=9).labels)


def test_a_short_last_batch_is_kept_or_left_out():
    order = np.array([4, 0, 3, 1, 2])
    assert [batch.tolist() for batch in split_order(order, 2, drop_last=False)] == [[4, 0], [3, 1], [2]]
    assert [batch.tolist() for batch in split_order(order, 2, drop_last=True)] == [[4, 0], [3, 1]]
    assert [batch.tolist() for batch in split_order(order[:4], 2, drop_last=True)] == [[4, 0], [3, 1]]
    assert [batch.tolist() for batch in sequential_plan(5, 3)] == [[0, 1, 2], [3, 4]]


def test_the_rows_of_a_purpose_are_found_among_all_features():
    ledger = split(sample_rows([0, 1] * 60), CutPool())
    ids = ledger.samples["id"].to_numpy(dtype=np.str_)[::-1]
    features = Features(ids, np.arange(len(ids), dtype=np.float32)[:, None])
    rows = FeatureRows.read(features, ledger, Purpose.SELECT_MODEL)
    wanted = ledger.rows(Purpose.SELECT_MODEL)
    assert rows.purpose is Purpose.SELECT_MODEL
    assert rows.ids.tolist() == wanted["id"].tolist()
    assert rows.labels.tolist() == wanted["label"].tolist()
    assert [ids[int(value)] for value in rows.features[:, 0]] == wanted["id"].tolist()
