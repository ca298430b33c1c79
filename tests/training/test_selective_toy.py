"""What the selective objective learns where a third of the rows cannot be told apart, and what it must not learn."""

from __future__ import annotations

import numpy as np
import pytest

from stage1_core.model.classifier import predict_features
from stage1_core.model.head import HeadConfig, build_head
from stage1_core.splits import Purpose
from stage1_core.training.accumulation import WholeAccumulation
from stage1_core.training.batching import BatchConfig
from stage1_core.training.loop import train
from stage1_core.training.optimizer import AdamWConfig
from stage1_core.training.rows import FeatureRows
from stage1_core.training.selective import Selective, SelectiveConfig
from tests.training.toys import training


def rows_of(purpose, rows, seed):
    """Two classes; one feature tells how far apart they lie in another: far in two thirds of the rows, else near."""
    draw = np.random.default_rng([seed, rows])
    labels = draw.integers(0, 2, rows)
    easy = draw.random(rows) < 2 / 3
    values = draw.normal(size=(rows, 6)).astype(np.float32)
    values[:, 0] += (2 * labels - 1) * np.where(easy, 2.5, 0.4)
    values[:, 1] = np.where(easy, 1, -1) + 0.3 * values[:, 1]
    return FeatureRows.of(purpose, np.array([str(row) for row in range(rows)]), values, labels)


def learned(config, seed):
    """Share of rows with g >= .5, their FNR and their error, on rows of their own."""
    fit, select = rows_of(Purpose.FIT_WEIGHTS, 3000, seed), rows_of(Purpose.SELECT_MODEL, 60, seed + 100)
    test = rows_of(Purpose.FINAL_EVALUATION, 5000, seed + 200)
    head = build_head(6, HeadConfig(hidden=32, dropout=0.0, gated=True), seed=seed)
    batch = BatchConfig(sizes=(250,), accumulation=WholeAccumulation(micro_batches=1))
    settings = training(optimizer=AdamWConfig(lr_head=1e-2), batch=batch, epochs=40, seed=seed)
    for _ in train(head, fit, select, settings.model_copy(update={"objective": config})):
        pass
    scores = predict_features(head, test.features.numpy(), test.ids)
    passes, wrong = scores.gate_logits >= 0, scores.likelier_class != test.labels
    positive = passes & (test.labels == 1)
    return passes.mean(), wrong[positive].mean(), wrong[passes].mean()


REWARD = 2.0
"""For each unit of coverage, in the units of the risk."""


class RewardedCoverage(Selective):
    """The constraint with a reward for coverage in place of the floor."""

    def loss(self, output, targets):
        return super().loss(output, targets) - 0.5 * REWARD * output.gate_logits.sigmoid().mean()


class RewardedCoverageConfig(SelectiveConfig):
    def build(self, class_counts):
        return RewardedCoverage(self, self.classes.build(class_counts))


@pytest.mark.parametrize("seed", [0, 1])
def test_the_gate_lets_through_what_can_be_told_apart(seed):
    coverage, fnr, error = learned(SelectiveConfig(), seed)
    assert fnr < 0.02
    assert 0.5 <= coverage <= 0.8
    assert error < 0.06


@pytest.mark.parametrize("seed", [0, 1])
def test_a_reward_for_coverage_ends_with_everything_let_through_and_called_positive(seed):
    coverage, fnr, error = learned(
        RewardedCoverageConfig(detach_classifier=False, warmup_epochs=0, coverage_weight=0), seed
    )
    assert coverage > 0.95
    assert fnr < 0.03
    assert error > 0.15
