from __future__ import annotations

import pytest
import torch
from sklearn.linear_model import LogisticRegression

from stage1_core.adaptation.config import ProbeConfig
from stage1_core.adaptation.probe import LinearProbe
from stage1_core.data.pictures import open_picture
from stage1_core.errors import DataError, SplitUseError
from stage1_core.splits import Purpose
from tests.adaptation.toys import TRANSFORM, linear_probe, rows_of


@pytest.fixture
def parts(pictures):
    """Sixteen pictures to fit on, eight to judge on, of which two have the wrong label."""
    fit, select = pictures[:16].copy(), pictures[16:].copy()
    select.iloc[:2, select.columns.get_loc("label")] = [1, 0]
    return fit, select


def features_of(backbone, pictures):
    pixels = torch.stack([TRANSFORM.apply(open_picture(path)) for path in pictures["path"]])
    return backbone(pixels).double().numpy()


def test_the_probe_is_a_logistic_regression_whose_confidence_is_ranked(backbone, parts):
    fit, select = parts
    rows = rows_of(fit, Purpose.FIT_WEIGHTS), rows_of(select, Purpose.SELECT_MODEL)
    found = LinearProbe(*rows, ProbeConfig(inverse_regularization=0.5, batch_size=5))(backbone)

    values = features_of(backbone, fit)
    mean, std = values.mean(axis=0), values.std(axis=0)
    model = LogisticRegression(C=0.5, max_iter=1000).fit((values - mean) / std, fit["label"])
    probability = model.predict_proba((features_of(backbone, select) - mean) / std)
    failed, confidence = probability.argmax(axis=1) != select["label"], probability.max(axis=1)
    below = sum((confidence[~failed] < one).sum() for one in confidence[failed])
    area = (failed.sum() ** 2 / 2 + below) / len(select) ** 2
    assert 0 < failed.sum() < len(select)
    assert found.accuracy == pytest.approx(1 - failed.mean())
    assert found.augrc == pytest.approx(area, abs=1e-12)


def test_the_same_backbone_is_judged_the_same(backbone, pictures):
    probe = linear_probe(pictures)

    assert probe(backbone) == probe(backbone)


def test_a_probe_of_few_pictures_takes_them_by_chance_but_always_the_same(backbone, pictures):
    few = linear_probe(pictures, max_fit_pictures=6)

    assert few(backbone) == linear_probe(pictures, max_fit_pictures=6)(backbone)
    assert few(backbone) != linear_probe(pictures)(backbone)


def test_rows_of_another_purpose_are_refused(pictures):
    fit = rows_of(pictures, Purpose.FIT_WEIGHTS)

    with pytest.raises(SplitUseError, match="a probe needs select_model rows"):
        LinearProbe(fit, rows_of(pictures, Purpose.FINAL_EVALUATION), ProbeConfig())


def test_no_rows_and_rows_of_one_class_are_refused(pictures):
    select = rows_of(pictures, Purpose.SELECT_MODEL)

    with pytest.raises(DataError, match="there are no fit_weights rows"):
        LinearProbe(rows_of(pictures[:0], Purpose.FIT_WEIGHTS), select, ProbeConfig())
    with pytest.raises(DataError, match="all pictures of the probe are of one class"):
        LinearProbe(rows_of(pictures[::2], Purpose.FIT_WEIGHTS), select, ProbeConfig())


def test_a_limit_above_the_number_of_pictures_takes_them_all(backbone, pictures):
    assert linear_probe(pictures, max_fit_pictures=len(pictures))(backbone) == linear_probe(pictures)(backbone)
