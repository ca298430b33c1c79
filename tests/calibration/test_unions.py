"""Every calibrator is one module and two names in the unions."""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import get_args

import numpy as np
import pytest
from pydantic import TypeAdapter
from scipy.special import expit, softmax

from stage1_core.calibration import (
    AnyCalibrator,
    AnyCalibratorConfig,
    AnyClassCalibrator,
    AnyClassCalibratorConfig,
    dirichlet,
    isotonic,
    platt,
    temperature,
)
from stage1_core.config import FrozenModel


def tagged(*modules: ModuleType) -> set[type[FrozenModel]]:
    """Values that the modules define."""
    return {
        value
        for module in modules
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, FrozenModel) and value.__module__ == module.__name__
    }


def configs(models: set[type[FrozenModel]]) -> list[type[FrozenModel]]:
    return sorted((model for model in models if hasattr(model, "fit")), key=lambda model: model.__name__)


OF_ONE_LOGIT, OF_CLASSES = tagged(platt, isotonic), tagged(dirichlet, temperature)


@pytest.mark.parametrize(
    ("models", "calibrators", "union_of_configs"),
    [(OF_ONE_LOGIT, AnyCalibrator, AnyCalibratorConfig), (OF_CLASSES, AnyClassCalibrator, AnyClassCalibratorConfig)],
    ids=["one logit", "classes"],
)
def test_every_calibrator_and_config_is_in_its_union(models, calibrators, union_of_configs):
    assert set(get_args(get_args(union_of_configs)[0])) == set(configs(models))
    assert set(get_args(get_args(calibrators)[0])) == models - set(configs(models))


@pytest.mark.parametrize("config", configs(OF_ONE_LOGIT), ids=lambda model: model.__name__)
def test_a_fitted_calibrator_comes_back_through_the_union_and_is_calibrated(config, rng: np.random.Generator):
    logits = rng.normal(0, 2, 4000)
    outcome = (rng.random(4000) < expit(2 * logits)).astype(np.int64)
    fitted = config().fit(logits, outcome)
    assert TypeAdapter(AnyCalibrator).validate_json(fitted.to_json()) == fitted
    assert fitted.kind == config().kind
    assert fitted.probability(logits).mean() == pytest.approx(outcome.mean(), abs=2e-3)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("config", configs(OF_CLASSES), ids=lambda model: model.__name__)
def test_a_fitted_class_calibrator_comes_back_through_the_union_and_is_calibrated(
    config, classes: int, rng: np.random.Generator
):
    logits = rng.normal(0, 2, (4000, classes))
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    fitted = config().fit(3 * logits, labels)
    assert TypeAdapter(AnyClassCalibrator).validate_json(fitted.to_json()) == fitted
    assert fitted.kind == config().kind
    confidence = softmax(fitted.class_logits(3 * logits), axis=1).max(axis=1)
    assert confidence.mean() == pytest.approx((logits.argmax(axis=1) == labels).mean(), abs=0.01)
