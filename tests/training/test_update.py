from __future__ import annotations

import pytest

from stage1_core.errors import ModelError
from stage1_core.training.update import trainable_parameters
from tests.training.toys import tiny_head


def test_frozen_parameters_are_not_trainable():
    head = tiny_head()
    head.trunk.requires_grad_(False)
    assert set(trainable_parameters(head)) == {"classes.weight", "classes.bias"}


def test_a_model_with_nothing_to_train_is_refused():
    with pytest.raises(ModelError, match="no trainable parameter"):
        trainable_parameters(tiny_head().requires_grad_(False))
