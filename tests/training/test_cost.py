"""What a training took, known also after it was killed."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from stage1_core.errors import Stage1Error
from stage1_core.training.cost import FILE, CostLog, CostNotes, in_turn
from stage1_core.training.session import run_training
from tests.training.toys import feature_rows, select_rows, tiny_head, training


@dataclass(frozen=True)
class Epoch:
    epoch: int
    seconds: float = 2.0
    peak_memory_bytes: int = 100


def test_seconds_add_up_and_the_highest_memory_counts(tmp_path):
    costs = CostLog(tmp_path)
    for epoch in (Epoch(1, 2.0, 100), Epoch(2, 4.0, 300), Epoch(3, 6.0, 200)):
        costs(epoch)
    assert costs.total(3) == (12.0, 300)


def test_a_continued_training_knows_what_came_before(tmp_path):
    CostLog(tmp_path)(Epoch(1, 5.0, 300))
    continued = CostLog(tmp_path)
    continued(Epoch(2, 1.0, 100))
    assert continued.total(2) == (6.0, 300)
    assert CostLog(tmp_path).total(2) == (6.0, 300)


def test_an_epoch_that_is_made_again_counts_once(tmp_path):
    costs = CostLog(tmp_path)
    for epoch in (Epoch(1, 2.0), Epoch(2, 9.0), Epoch(2, 4.0)):
        costs(epoch)
    assert costs.total(2) == (6.0, 100)


def test_the_mean_stands_for_an_epoch_whose_note_was_lost(tmp_path):
    costs = CostLog(tmp_path)
    for epoch in (Epoch(1, 2.0), Epoch(3, 4.0)):
        costs(epoch)
    assert costs.total(3) == (9.0, 100)


def test_without_a_note_nothing_is_made_up(tmp_path):
    with pytest.raises(Stage1Error, match="delete the folder and train again"):
        CostLog(tmp_path).total(3)


def test_notes_of_a_real_training_lie_beside_its_checkpoints(tmp_path):
    seen = []
    costs = CostLog(tmp_path)
    listener = in_turn(costs, None, lambda result: seen.append(result.seconds))
    run_training(tiny_head(), feature_rows(), select_rows(), training(), tmp_path, identity="toy", on_epoch=listener)
    assert CostNotes.from_json_file(tmp_path / FILE).epochs.keys() == {1, 2, 3, 4}
    seconds, memory = costs.total(4)
    assert seconds == pytest.approx(sum(seen))
    assert memory > 2**20


def test_listeners_are_told_in_turn():
    told = []
    in_turn(
        lambda epoch: told.append(("first", epoch.epoch)), None, lambda epoch: told.append(("second", epoch.epoch))
    )(Epoch(7))
    assert told == [("first", 7), ("second", 7)]
