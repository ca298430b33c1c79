from __future__ import annotations

import csv
from dataclasses import dataclass, replace

import pytest

from stage1_core.metrics.gate_quality import GateQuality
from stage1_core.training.epoch_log import HEADER, EpochLogConfig, epoch_row, read_numbers, read_rows, write_log
from stage1_core.training.evaluation import EpochMetrics
from stage1_core.training.loop import train
from tests.training.toys import feature_rows, select_rows, tiny_head, training

SELECTIVE = (
    "NLL,Brier,AUGRC,Exited,Exited_Positives,Missed_Positives,FNR_on_exited,FNR_on_exited_upper90,"
    "Exit_Coverage_lower90,Exit_Coverage_upper90,"
    "Risk@Coverage_0.5,Risk@Coverage_0.6,Risk@Coverage_0.7,Risk@Coverage_0.8,Risk@Coverage_0.9,"
    "Coverage@Risk_0.01,Coverage@Risk_0.02,Coverage@Risk_0.05,Coverage@Risk_0.1,"
    "Gate_Mean,Gate_Std,Gate_AUROC,AUGRC_gate"
)
HISTORICAL = "Epoch,Train_Loss,Train_Acc,Val_Loss,Val_Acc,ECE,Exit_Coverage,Exit_Acc,Best_Val_Acc,LR"


@dataclass(frozen=True)
class Epoch:
    metrics: EpochMetrics
    epoch: int = 2
    train_loss: float = 0.69314
    train_accuracy: float = 0.73205
    val_loss: float = 0.5
    best_accuracy_before: float | None = 0.75
    learning_rate: float = 9.897e-5
    images_per_second: float = 1234.56
    peak_memory_bytes: int = 3 * 2**20
    seconds: float = 1.239


def metrics(**changes):
    counts = {"exited": 40, "rows": 200, "exit_errors": 2, "exited_positives": 25, "missed": 1}
    values = {"accuracy": 0.8125, "ece": 0.03714, "nll": 0.5, "brier": 0.125, "augrc": 0.0625}
    values["risk_at_coverage"] = dict.fromkeys(("0.5", "0.6", "0.7", "0.8", "0.9"), 0.03125)
    values["coverage_at_risk"] = dict.fromkeys(("0.01", "0.02", "0.05", "0.1"), 0.75)
    return EpochMetrics(**(values | counts | changes))


def test_the_header_begins_with_exactly_the_historical_columns():
    assert f"{HISTORICAL},{SELECTIVE}" == HEADER


def test_a_row_has_the_historical_formats_and_then_the_selective_columns():
    row = epoch_row(Epoch(metrics()), EpochLogConfig())
    assert row.startswith("2,0.6931,73.20,0.5000,81.25,0.0371,20.0,95.00,81.25,9.90e-05,")
    fields = dict(zip(HEADER.split(","), row.split(","), strict=True))
    assert (fields["NLL"], fields["Exited_Positives"], fields["FNR_on_exited"]) == ("0.500000", "25", "0.040000")
    # one miss in 25 at 90 %: the p with binom.cdf(1, 25, p) = .1
    assert float(fields["FNR_on_exited_upper90"]) == pytest.approx(0.1469, abs=1e-4)


def test_a_gate_has_its_columns_and_without_one_they_are_empty(tmp_path):
    gate = GateQuality(rows=200, failures=37, mean_probability=0.75, std_probability=0.125, auroc=0.875)
    logged = [metrics(), metrics(gate=gate, augrc_gate=0.0625)]
    write_log(tmp_path / "metrics.csv", [epoch_row(Epoch(one), EpochLogConfig()) for one in logged])
    without, with_gate = read_numbers(tmp_path / "metrics.csv")
    columns = ("Gate_Mean", "Gate_Std", "Gate_AUROC", "AUGRC_gate")
    assert [without[name] for name in columns] == [None] * 4
    assert [with_gate[name] for name in columns] == [0.75, 0.125, 0.875, 0.0625]
    assert (without["Risk@Coverage_0.7"], without["Coverage@Risk_0.1"]) == (0.03125, 0.75)


def test_undefined_rates_are_empty_and_historical_ones_zero():
    row = epoch_row(
        Epoch(metrics(exited=0, exit_errors=0, exited_positives=0, missed=0), best_accuracy_before=None),
        EpochLogConfig(best_accuracy="before_epoch"),
    )
    fields = dict(zip(HEADER.split(","), row.split(","), strict=True))
    assert (fields["FNR_on_exited"], fields["FNR_on_exited_upper90"]) == ("", "")
    assert (fields["Exit_Acc"], fields["Exit_Coverage"], fields["Best_Val_Acc"]) == ("0.00", "0.0", "0.00")


def test_the_best_accuracy_is_historically_that_before_the_epoch():
    epoch = Epoch(metrics())
    best = HISTORICAL.split(",").index("Best_Val_Acc")
    assert epoch_row(epoch, EpochLogConfig(best_accuracy="before_epoch")).split(",")[best] == "75.00"
    assert epoch_row(epoch, EpochLogConfig()).split(",")[best] == "81.25"
    assert epoch_row(replace(epoch, best_accuracy_before=0.9), EpochLogConfig()).split(",")[best] == "90.00"


def test_a_training_can_be_logged_and_read_back(tmp_path):
    config = training(epochs=2)
    epochs = list(train(tiny_head(), feature_rows(), select_rows(), config))
    rows = [epoch_row(result, config.epoch_log) for result in epochs]
    write_log(tmp_path / "metrics.csv", rows[:1])
    write_log(tmp_path / "metrics.csv", rows)
    assert read_rows(tmp_path / "metrics.csv") == rows
    with (tmp_path / "metrics.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [row["Epoch"] for row in table] == ["1", "2"]
    assert float(table[1]["Val_Acc"]) == pytest.approx(100 * epochs[1].metrics.accuracy, abs=0.005)
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]


def test_a_log_that_is_not_there_has_no_rows(tmp_path):
    assert read_rows(tmp_path / "metrics.csv") == []
