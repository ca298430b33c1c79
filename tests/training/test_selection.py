from __future__ import annotations

import pytest
import torch

from stage1_core.acceptance import Direction
from stage1_core.training.selection import Progress, SelectionConfig, SelectionMetric

ACCURACY, AUGRC, LOSS = SelectionMetric.ACCURACY, SelectionMetric.AUGRC, SelectionMetric.VAL_LOSS


def follow(history, config):
    """Progress after a history of values, with the epoch number as weights."""
    progress = Progress({})
    for epoch, values in enumerate(history, start=1):
        progress = progress.after(epoch, values, config, lambda epoch=epoch: {"epoch": torch.tensor(epoch)})
    return progress


@pytest.mark.parametrize(
    ("metric", "direction"),
    [(ACCURACY, Direction.AT_LEAST), (AUGRC, Direction.AT_MOST), (LOSS, Direction.AT_MOST)],
)
def test_every_metric_declares_where_better_lies(metric, direction):
    assert metric.direction is direction
    better, worse = (0.9, 0.1) if direction is Direction.AT_LEAST else (0.1, 0.9)
    assert metric.improves(better, on=worse)
    assert not metric.improves(worse, on=better)
    assert not metric.improves(better, on=better)


def test_the_first_of_equally_good_epochs_is_kept():
    history = [{ACCURACY: value} for value in (0.5, 0.8, 0.8, 0.7)]
    progress = follow(history, SelectionConfig(metric=ACCURACY))
    assert (progress.best[ACCURACY].epoch, progress.misses) == (2, 2)
    assert progress.best[ACCURACY].weights["epoch"].item() == 2


def test_other_metrics_are_kept_beside_without_resetting_patience():
    history = [{ACCURACY: a, AUGRC: u} for a, u in ((0.8, 0.3), (0.7, 0.2), (0.7, 0.1))]
    progress = follow(history, SelectionConfig(metric=ACCURACY, keep_also=(AUGRC,)))
    assert (progress.best[ACCURACY].epoch, progress.best[AUGRC].epoch, progress.misses) == (1, 3, 2)


def test_patience_counts_epochs_without_improvement():
    config = SelectionConfig(metric=LOSS, patience=2)
    assert not follow([{LOSS: 1.0}, {LOSS: 1.1}], config).exhausted(config)
    assert follow([{LOSS: 1.0}, {LOSS: 1.1}, {LOSS: 1.0}], config).exhausted(config)


def test_without_patience_nothing_stops():
    config = SelectionConfig(patience=None)
    assert not follow([{ACCURACY: 0.5}] * 50, config).exhausted(config)


def test_weights_are_copied_only_for_a_best():
    def refuse():
        raise AssertionError("copied for nothing")

    progress = follow([{ACCURACY: 0.9}], SelectionConfig())
    assert progress.after(2, {ACCURACY: 0.8}, SelectionConfig(), refuse).misses == 1
