from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stage1_core.acceptance import Verdict
from stage1_core.metrics import agreement
from stage1_core.metrics.agreement import cross_checks, range_checks
from stage1_core.metrics.suite import ModelQuality, model_quality
from stage1_core.predictions import Predictions
from tests.toys import make_predictions, predictions_of

margins = st.one_of(st.floats(-50, 50), st.integers(-3, 3).map(float), st.sampled_from([-800.0, 800.0]))
labelled_margins = st.lists(st.tuples(margins, st.integers(0, 1)), min_size=1, max_size=40).map(
    lambda rows: predictions_of(np.array([m for m, _ in rows]), np.array([y for _, y in rows]))
)


@given(labelled_margins)
def test_on_any_rows_all_numbers_agree_and_can_be_true_together(rows: Predictions):
    for check in (*cross_checks(rows), *range_checks(model_quality(rows))):
        assert check.verdict is Verdict.PASS, check


def test_the_checks_name_what_they_compare(rng: np.random.Generator):
    assert [check.name for check in cross_checks(make_predictions(rng, 50))] == [
        "accuracy agrees with the confusion counts",
        "MCC agrees with the confusion counts",
        "AUROC agrees with the sum of ranks",
        "NLL agrees with log(1 + exp) of the margins",
        "Brier score agrees with scikit-learn",
        "ECE agrees with a loop over bins",
        "AURC agrees with a loop over tie blocks",
        "AUGRC agrees with the AUROC identity",
    ]


@pytest.mark.parametrize(
    ("number", "check"),
    [
        ("accuracy", "accuracy"),
        ("mcc", "MCC"),
        ("auroc", "AUROC"),
        ("nll", "NLL"),
        ("brier", "Brier"),
        ("ece", "ECE"),
        ("aurc", "AURC"),
        ("augrc", "AUGRC"),
    ],
)
def test_a_wrong_number_is_found(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, number: str, check: str
) -> None:
    rows = make_predictions(rng, 300, separation=0.7)
    quality = model_quality(rows)
    wrong = quality.model_copy(update={number: getattr(quality, number) + 1e-6})
    monkeypatch.setattr(agreement, "model_quality", lambda _: wrong)
    failed = [made.name for made in cross_checks(rows) if made.verdict is Verdict.FAIL]
    assert len(failed) == 1
    assert failed[0].startswith(check)


def test_a_number_that_one_side_leaves_out_is_undecided(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch):
    rows = make_predictions(rng, 300, separation=0.7)
    missing = model_quality(rows).model_copy(update={"mcc": None})
    monkeypatch.setattr(agreement, "model_quality", lambda _: missing)
    undecided = [made.name for made in cross_checks(rows) if made.verdict is Verdict.INSUFFICIENT_EVIDENCE]
    assert undecided == ["MCC agrees with the confusion counts"]


def test_without_rows_nothing_is_proven():
    rows = predictions_of(np.zeros(0), np.zeros(0))
    verdicts = {check.verdict for check in (*cross_checks(rows), *range_checks(model_quality(rows)))}
    assert verdicts == {Verdict.INSUFFICIENT_EVIDENCE}


@pytest.fixture
def quality(rng: np.random.Generator) -> ModelQuality:
    return model_quality(make_predictions(rng, 300, separation=0.7))


@pytest.mark.parametrize(
    ("wrong", "check"),
    [
        ({"augrc": 0.0}, "AUGRC against the best ranking at this accuracy"),
        ({"augrc": 0.5}, "AUGRC against the worst ranking at this accuracy"),
        ({"e_aurc": -0.1}, "E-AURC against the best ranking at this accuracy"),
        ({"e_aurc": 0.9}, "E-AURC against the worst ranking at this accuracy"),
        ({"brier": 0.01}, "Brier score against a quarter of the error rate"),
        ({"nll": 0.01}, "NLL against the Brier score"),
    ],
)
def test_numbers_that_cannot_be_true_together_are_found(quality: ModelQuality, wrong: dict[str, float], check: str):
    checks = range_checks(quality.model_copy(update=wrong))
    assert [made.name for made in checks if made.verdict is Verdict.FAIL] == [check]


def test_an_area_that_is_scaled_by_a_thousand_is_found(quality: ModelQuality):
    assert quality.augrc is not None
    checks = range_checks(quality.model_copy(update={"augrc": 1000 * quality.augrc}))
    assert Verdict.FAIL in {made.verdict for made in checks}


def test_the_gate_takes_no_part(rng: np.random.Generator):
    rows = make_predictions(rng, 100)
    gated = replace(rows, scores=replace(rows.scores, gate_logits=rng.normal(size=100)))
    assert cross_checks(gated) == cross_checks(rows)
