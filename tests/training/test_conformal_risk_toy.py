"""What training through the threshold gains for a head that can only draw a line, and where it gains nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from stage1_core.model.classifier import predict_features
from stage1_core.model.head import HeadOutput
from stage1_core.splits import Purpose
from stage1_core.training.accumulation import WholeAccumulation
from stage1_core.training.batching import BatchConfig
from stage1_core.training.conformal_risk import ConformalRiskConfig, miss_threshold
from stage1_core.training.loop import train
from stage1_core.training.objective import CrossEntropyConfig
from stage1_core.training.optimizer import AdamWConfig
from stage1_core.training.rows import FeatureRows
from tests.training.toys import training

SEEDS = range(10)


class Line(torch.nn.Module):
    """Two features, no hidden layer."""

    def __init__(self):
        super().__init__()
        self.classes = torch.nn.Linear(2, 2)
        torch.nn.init.zeros_(self.classes.weight)
        torch.nn.init.zeros_(self.classes.bias)

    def forward(self, features):
        return HeadOutput(self.classes(features))


def rows_of(purpose, rows, seed, far):
    """Two Gaussians; with ``far``, .4 % of class 1 and 2 % of class 0 lie far behind the other class."""
    draw = np.random.default_rng([seed, rows])
    labels = draw.integers(0, 2, rows)
    values = draw.normal(size=(rows, 2)).astype(np.float32) + (2 * labels - 1)[:, None] * np.float32([1.8, 1.1])
    lost = far & (draw.random(rows) < np.where(labels == 1, 0.004, 0.02))
    values[lost, 0] = np.where(labels[lost] == 1, -12, 12)
    return FeatureRows.of(purpose, np.array([str(row) for row in range(rows)]), values, labels)


def exits_after(objective, seed, far):
    """Post-hoc conformal risk control at 2 % behind a trained line: shares of fresh rows.

    Rows that exit to their class; positives that exit to 0; negatives that exit to 1.
    """
    fit, select = rows_of(Purpose.FIT_WEIGHTS, 3000, seed, far), rows_of(Purpose.SELECT_MODEL, 40, seed, far)
    batch = BatchConfig(sizes=(300,), accumulation=WholeAccumulation(micro_batches=1))
    settings = training(optimizer=AdamWConfig(lr_head=3e-2), batch=batch, epochs=25, seed=seed, objective=objective)
    head = Line()
    for _ in train(head, fit, select, settings):
        pass
    calibrate, fresh = (rows_of(Purpose.FINAL_EVALUATION, rows, seed + 100, far) for rows in (20000, 20001))
    on_calibration, on_fresh = (
        predict_features(head, rows.features.numpy(), rows.ids).margin_logits for rows in (calibrate, fresh)
    )
    threshold = max(0.0, miss_threshold(torch.from_numpy(-on_calibration[calibrate.labels == 1]), 0.02).item())
    positive = fresh.labels == 1
    right = np.where(positive, on_fresh, -on_fresh) > threshold
    return right.mean(), (on_fresh < -threshold)[positive].mean(), (on_fresh > threshold)[~positive].mean()


def paired(far):
    """``(seeds, 3)`` after conformal risk training, and after cross-entropy."""
    conformal = [exits_after(ConformalRiskConfig(), seed, far) for seed in SEEDS]
    plain = [exits_after(CrossEntropyConfig(), seed, far) for seed in SEEDS]
    return np.array(conformal), np.array(plain)


def test_more_exits_rightly_where_cross_entropy_turns_to_rows_that_no_line_gets_right():
    conformal, plain = paired(far=True)
    gain, missed, alarms = (conformal - plain).T
    assert stats.ttest_1samp(gain, 0.02, alternative="greater").pvalue < 0.01
    assert plain[:, 1].mean() == pytest.approx(0.02, abs=0.003)
    assert abs(missed.mean()) < 0.002
    assert alarms.mean() < 0.01


def test_nothing_is_gained_where_cross_entropy_is_the_right_loss():
    conformal, plain = paired(far=False)
    assert (conformal - plain)[:, 0].mean() < 0.002
