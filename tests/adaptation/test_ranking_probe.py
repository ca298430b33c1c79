from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from stage1_core.adaptation.ranking_probe import rank_held_out
from stage1_core.metrics.bootstrap import BootstrapConfig

DRIVES, FRAMES = 120, 2
CONFIG = BootstrapConfig(resamples=200)


@pytest.fixture(scope="module")
def rows() -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Features that tell the class, that half tell it, and that tell only the drive."""
    rng = np.random.default_rng(0)
    drive = np.repeat(np.arange(DRIVES), FRAMES)
    labels = drive % 2
    noise = rng.normal(size=(len(drive), 3))
    of_drive = rng.normal(size=(DRIVES, 40))[drive] * 5
    features = {
        "clear": labels[:, None] * 8 + noise,
        "blurred": labels[:, None] + noise,
        "drive": of_drive,
    }
    return {name: values.astype(np.float32) for name, values in features.items()}, labels, drive.astype(str)


def test_features_are_told_apart_by_what_they_know_of_the_class(rows):
    probe = rank_held_out(*rows, CONFIG)

    assert probe.areas["clear"].value == 1
    assert 0.7 < probe.areas["blurred"].value < 0.95
    assert 0.5 < probe.areas["blurred"].lower < probe.areas["blurred"].value < probe.areas["blurred"].upper < 1


def test_knowing_the_drive_is_no_help_since_none_is_on_both_sides(rows):
    assert 0.3 < rank_held_out(*rows, CONFIG).areas["drive"].value < 0.7


def test_what_the_others_lack_is_counted_from_the_first(rows):
    probe = rank_held_out(*rows, CONFIG)

    assert set(probe.behind) == {"blurred", "drive"}
    for name, lacking in probe.behind.items():
        assert lacking.value == pytest.approx(1 - probe.areas[name].value)


def test_pictures_and_drives_are_counted(rows):
    probe = rank_held_out(*rows, CONFIG)

    assert (probe.fit_pictures, probe.pictures, probe.drives) == (DRIVES, DRIVES, DRIVES // 2)


def test_the_area_is_that_of_an_independent_implementation(rows):
    """Of one feature without noise in its scale: whatever the penalty, the regression ranks by it."""
    features, labels, drives = rows
    one = features["blurred"][:, :1]
    probe = rank_held_out({"one": one}, labels, drives, CONFIG)
    names = np.unique(drives)
    held_out = np.isin(drives, np.random.default_rng(CONFIG.seed).permutation(names)[: DRIVES // 2])

    assert probe.areas["one"].value == pytest.approx(roc_auc_score(labels[held_out], one[held_out, 0]))


def test_the_same_rows_give_the_same_numbers(rows):
    assert rank_held_out(*rows, CONFIG) == rank_held_out(*rows, CONFIG)
