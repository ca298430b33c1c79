from __future__ import annotations

import numpy as np

from stage1_core.report.figures.canvas import png_bytes
from stage1_core.report.figures.training import training_curves

EPOCHS = [
    {"Epoch": 1, "Train_Loss": 0.7, "Val_Loss": 0.6, "Train_Acc": 60.0, "Val_Acc": 65.0, "ECE": 0.1, "LR": 1e-4},
    {"Epoch": 2, "Train_Loss": 0.5, "Val_Loss": None, "Train_Acc": 75.0, "Val_Acc": 72.0, "ECE": 0.08, "LR": 5e-5},
    {"Epoch": 3, "Train_Loss": 0.4, "Val_Loss": 0.45, "Train_Acc": 80.0, "Val_Acc": 76.0, "ECE": 0.07, "LR": 1e-5},
]


def test_each_panel_shows_its_columns_over_the_epochs():
    loss, accuracy, ece, rate = training_curves(EPOCHS).axes
    assert [len(axes.lines) for axes in (loss, accuracy, ece, rate)] == [2, 2, 1, 1]
    np.testing.assert_allclose(accuracy.lines[1].get_xydata(), [[1, 65], [2, 72], [3, 76]])


def test_an_undefined_number_is_a_gap_and_not_zero():
    validation = training_curves(EPOCHS).axes[0].lines[1]
    assert np.isnan(validation.get_ydata()).tolist() == [False, True, False]


def test_a_column_that_was_not_recorded_is_said_to_be_missing():
    figure = training_curves([{"Epoch": 1, "Train_Loss": 0.7}])
    assert [text.get_text() for text in figure.axes[2].texts] == ["not recorded"]
    assert png_bytes(figure)


def test_no_epochs_give_a_figure_that_says_so():
    figure = training_curves([])
    assert "no epoch was recorded" in figure.get_label()
    assert png_bytes(figure)


def test_units_are_in_the_headings_and_n_on_the_axis():
    axes = training_curves(EPOCHS).axes
    assert [a.get_title(loc="left") for a in axes[:3]] == ["loss (nats)", "accuracy (%)", "ECE (fraction)"]
    assert axes[3].get_xlabel() == "epoch (n = 3)"
