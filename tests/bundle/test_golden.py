from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from stage1_core.bundle.golden import Golden, GoldenPicture, choose_golden, golden_png
from stage1_core.calibration import PlattCalibrator
from stage1_core.errors import BundleError
from stage1_core.policy.gate import GateExit
from stage1_core.policy.softmax import ThresholdExit
from stage1_core.predictions import Scores

POLICY = ThresholdExit(exit_threshold=0.9)
AT_THRESHOLD = float(np.log(0.9 / 0.1))


def scores_of(margins: list[float], gates: list[float] | None = None) -> Scores:
    margin = np.array(margins)
    ids = np.array([str(index) for index in range(len(margins))])
    return Scores(ids, np.stack([-margin / 2, margin / 2], axis=1), None if gates is None else np.array(gates))


def golden_of(scores: Scores) -> Golden:
    pictures = [
        GoldenPicture(file=f"golden/{i}.png", label=None, logits=tuple(row), prediction_set=(True, True))
        for i, row in enumerate(scores.logits.tolist())
    ]
    return Golden(pictures=tuple(pictures)).with_decisions_of(POLICY)


def test_pictures_near_a_threshold_are_never_golden():
    margins = [AT_THRESHOLD, AT_THRESHOLD + 1e-3, -AT_THRESHOLD - 1e-3, 0.5, 4.0]
    assert choose_golden(POLICY, scores_of(margins), [None] * 5, count=5) == [3, 4]


def test_every_class_and_decision_gets_its_turn():
    margins = [4.0] * 20 + [0.1, -4.0]
    labels = [1] * 10 + [0] * 10 + [1, 0]
    assert choose_golden(POLICY, scores_of(margins), labels, count=4) == [0, 10, 20, 21]


def test_no_firm_candidate_is_an_error_that_says_what_to_do():
    with pytest.raises(BundleError, match="give more golden candidates"):
        choose_golden(POLICY, scores_of([AT_THRESHOLD]), [None], count=4)


@pytest.mark.parametrize(("shift", "kept"), [(0.0, True), (9e-4, True), (2e-3, False), (np.inf, False)])
def test_logits_may_differ_by_the_tolerance_and_not_more(shift, kept):
    expected = scores_of([4.0, -0.2])
    golden = golden_of(expected)
    found = Scores.__new__(Scores)
    for name, value in (
        ("ids", expected.ids),
        ("logits", expected.logits + np.array([[0, 0], [0, shift]])),
        ("gate_logits", None),
        ("aux_logits", None),
    ):
        object.__setattr__(found, name, value)
    if kept:
        golden.require_reproduced(found, POLICY.decide(found))
    else:
        with pytest.raises(BundleError, match=r"golden/1\.png: logits differ"):
            golden.require_reproduced(found, POLICY.decide(expected))


def test_a_decision_must_agree_exactly():
    scores = scores_of([4.0, -0.2])
    with pytest.raises(BundleError, match=r"golden/1\.png: decided \[True, False\], expected \[True, True\]"):
        golden_of(scores).require_reproduced(scores, ThresholdExit(exit_threshold=0.5).decide(scores))


def test_a_gate_that_is_missing_on_one_side_is_refused():
    scores = scores_of([4.0, -0.2])
    with pytest.raises(BundleError, match="disagree about having a gate"):
        golden_of(scores).require_reproduced(scores_of([4.0, -0.2], [0.0, 0.0]), POLICY.decide(scores))


def test_answers_of_stage_b_that_the_head_no_longer_gives_are_refused():
    scores = scores_of([4.0, -0.2])
    expected = golden_of(scores)
    pictures = tuple(picture.model_copy(update={"aux_logits": (0.0, 1.0)}) for picture in expected.pictures)
    with pytest.raises(BundleError, match="answers of stage B, the head has none"):
        expected.model_copy(update={"pictures": pictures}).require_reproduced(scores, POLICY.decide(scores))


def test_a_picture_near_the_gates_threshold_is_never_golden():
    rule = GateExit(gate_threshold=0.5, calibrator_params=PlattCalibrator(slope=1.0, offset=0.0))
    gates = [0.0, 1e-3, -1e-3, 0.5, -0.5]
    assert choose_golden(rule, scores_of([9.0] * 5, gates), [None] * 5, count=5) == [3, 4]


def test_large_pictures_are_shrunk_and_small_ones_kept():
    large, small = Image.new("RGB", (900, 300)), Image.new("L", (20, 10))
    assert Image.open(io.BytesIO(golden_png(large, (100, 100)))).size == (450, 150)
    assert Image.open(io.BytesIO(golden_png(small, (100, 100)))).size == (20, 10)


def test_metadata_of_a_picture_does_not_travel(tmp_path):
    image = Image.new("RGB", (20, 10))
    exif = Image.Exif()
    exif[0x010E] = "where I live"
    image.save(tmp_path / "a.png", exif=exif)
    assert b"where I live" not in golden_png(Image.open(tmp_path / "a.png"), (100, 100))
