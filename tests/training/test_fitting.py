from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from stage1_core.errors import ModelError
from stage1_core.model.classifier import predict_features
from stage1_core.model.head import HeadConfig
from stage1_core.training.correctness_gate import CorrectnessGateConfig
from stage1_core.training.fitting import fit_head
from stage1_core.training.selection import SelectionConfig, SelectionMetric
from stage1_core.training.session import LOG_FILE
from stage1_core.training.state import load_best
from tests.training.toys import feature_rows, select_rows, training

GATED = HeadConfig(hidden=16, gated=True)
SELECTION = SelectionConfig(metric=SelectionMetric.AUGRC, keep_also=(SelectionMetric.ACCURACY,), patience=None)
CONFIG = training(objective=CorrectnessGateConfig(folds=3), selection=SELECTION)
GROUPS = np.array([f"scene/{row // 3}" for row in range(75)])


def fitted(folder, head=GATED, config=CONFIG, **options):
    return fit_head(head, config, feature_rows(), GROUPS, select_rows(), folder, identity="toy", **options)


def test_a_gated_head_is_fitted_with_answers_of_other_models_kept_beside_its_checkpoints(tmp_path):
    head, state = fitted(tmp_path)
    assert state.epoch == 4
    assert head(feature_rows().features).gate_logits.std() > 0
    kept = {path.name for path in tmp_path.iterdir()}
    assert kept == {"fold-1.json", "fold-2.json", "fold-3.json", "epoch-00003", "epoch-00004", LOG_FILE}


def test_the_best_by_each_kept_metric_can_be_taken_from_the_state(tmp_path):
    seen = []
    head, state = fitted(tmp_path, on_epoch=lambda result: seen.append(result.metrics))
    assert state.kept.keys() == {SelectionMetric.AUGRC, SelectionMetric.ACCURACY}
    other = copy.deepcopy(head)
    load_best(other, state, SelectionMetric.ACCURACY)
    rows = select_rows()
    by_accuracy = predict_features(other, rows.features.numpy(), rows.ids)
    assert (by_accuracy.likelier_class == rows.labels).mean() == max(metrics.accuracy for metrics in seen)
    assert state.kept[SelectionMetric.AUGRC].value == min(metrics.augrc for metrics in seen)


def test_a_killed_call_ends_as_one_that_was_left_alone(tmp_path):
    whole, _ = fitted(tmp_path / "whole")

    def killed(result):
        if result.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path / "killed", on_epoch=killed)
    continued, _ = fitted(tmp_path / "killed")
    again, _ = fitted(tmp_path / "killed")
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, continued.state_dict()[name])
        assert torch.equal(weight, again.state_dict()[name])


def test_a_plain_head_makes_no_folds(tmp_path):
    fitted(tmp_path, HeadConfig(hidden=16), training(epochs=1))
    assert {path.name for path in tmp_path.iterdir()} == {"epoch-00001", LOG_FILE}


def test_a_gate_objective_needs_a_gated_head(tmp_path):
    with pytest.raises(ModelError, match=r"set head\.gated to true"):
        fitted(tmp_path, HeadConfig(hidden=16))
