from __future__ import annotations

import numpy as np
import pytest
import torch

from stage1_core.errors import DataError
from stage1_core.model.head import HeadOutput
from stage1_core.training.cross_entropy import CrossEntropyConfig, class_weights, count_classes
from stage1_core.training.targets import Targets


def smoothed_cross_entropy(logits, labels, weights, smoothing):
    """Weighted, smoothed cross-entropy, from its definition."""
    log_probability = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    target = np.eye(2)[labels] * (1 - smoothing) + smoothing / 2
    return -(target * weights * log_probability).sum() / weights[labels].sum()


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_agrees_with_its_definition(rng, weighted, smoothing):
    logits, labels = rng.normal(size=(9, 2)), np.array([0, 0, 0, 0, 0, 0, 1, 1, 0])
    objective = CrossEntropyConfig(weight_classes=weighted, label_smoothing=smoothing).build(np.array([30, 10]))
    found = objective.loss(HeadOutput(torch.from_numpy(logits).float()), Targets(torch.from_numpy(labels)))
    weights = np.array([40 / 60, 40 / 20]) if weighted else np.ones(2)
    assert found.item() == pytest.approx(smoothed_cross_entropy(logits, labels, weights, smoothing), rel=1e-5)


def test_the_class_weights_are_those_of_the_historical_data_sets():
    assert class_weights(np.array([1220, 5031])) == pytest.approx([2.5619, 0.6212], abs=1e-4)
    assert class_weights(np.array([10_880, 7_856])) == pytest.approx([0.8610, 1.1925], abs=1e-4)


def test_weighted_classes_count_the_same_in_total(rng):
    counts = rng.integers(1, 1000, size=2)
    total = class_weights(counts) * counts
    assert total[0] == pytest.approx(total[1])
    assert total.sum() == pytest.approx(counts.sum())


def test_a_class_without_rows_is_refused_by_name():
    with pytest.raises(DataError, match="no rows of class 1"):
        class_weights(np.array([5, 0]))


def test_labels_that_are_no_class_are_refused_by_value():
    with pytest.raises(DataError, match=r"found \[-1, 0\]"):
        count_classes(np.array([0, -1]))


@pytest.mark.parametrize("weighted", [True, False])
def test_losses_and_weights_of_rows_add_up_to_the_mean(rng, weighted):
    logits, labels = torch.from_numpy(rng.normal(size=(9, 2))).float(), torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 0])
    objective = CrossEntropyConfig(weight_classes=weighted).build(np.array([30, 10]))
    losses, weights = objective.of_each_row(logits, labels)
    assert (losses.sum() / weights.sum()).item() == pytest.approx(objective.of(logits, labels).item(), rel=1e-6)


def test_it_has_no_weights_of_its_own_in_checkpoints():
    assert not CrossEntropyConfig().build(np.array([3, 4])).state_dict()
