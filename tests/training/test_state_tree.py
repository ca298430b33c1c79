from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stage1_core.errors import CheckpointError
from stage1_core.training.seeding import capture_random_state, restore_random_state
from stage1_core.training.state_tree import copy_tree, pack, unpack

leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
trees = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(trees)
def test_a_tree_survives_json(tree):
    packed, tensors = pack(tree)
    assert unpack(json.loads(json.dumps(packed)), tensors) == tree


def test_tensors_and_arrays_are_named_and_come_back_as_they_were():
    tree = {"a": [torch.arange(3), {"b": (np.array([1, 2], dtype=np.uint32),)}], 0: torch.tensor(1.5)}
    packed, tensors = pack(tree)
    back = unpack(json.loads(json.dumps(packed)), tensors)
    assert torch.equal(back["a"][0], tree["a"][0])
    assert torch.equal(back[0], tree[0])
    assert back["a"][1]["b"][0].dtype == np.uint32
    assert back["a"][1]["b"][0].tolist() == [1, 2]


def test_the_state_of_all_generators_survives_json():
    before = capture_random_state()
    packed, tensors = pack(before)
    expected = torch.rand(3), np.random.rand(3)
    restore_random_state(unpack(json.loads(json.dumps(packed)), tensors))
    assert torch.equal(torch.rand(3), expected[0])
    assert np.array_equal(np.random.rand(3), expected[1])


def test_a_copy_shares_no_memory():
    tree = {"a": torch.zeros(2), "b": np.zeros(2)}
    copied = copy_tree(tree)
    copied["a"][0] = 1
    copied["b"][0] = 1
    assert tree["a"][0] == 0
    assert tree["b"][0] == 0


def test_what_would_need_pickle_is_refused_with_its_place():
    with pytest.raises(CheckpointError, match=r"a set at \.a\.0 cannot be stored"):
        pack({"a": [{1}]})


def test_a_tensor_that_is_missing_is_named():
    packed, _ = pack({"a": torch.zeros(1)})
    with pytest.raises(CheckpointError, match=r"names a tensor \.a that its file lacks"):
        unpack(packed, {})
