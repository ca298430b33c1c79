"""Every calibrator is one module and two names in the unions."""

from __future__ import annotations

import inspect
from typing import get_args

import numpy as np
import pytest
from pydantic import TypeAdapter
from scipy.special import expit

from stage1_core.calibration import AnyCalibrator, AnyCalibratorConfig, isotonic, platt
from stage1_core.config import FrozenModel

MODULES = (platt, isotonic)
TAGGED = {
    value
    for module in MODULES
    for value in vars(module).values()
    if inspect.isclass(value) and issubclass(value, FrozenModel) and value.__module__ == module.__name__
}
CONFIGS = sorted((model for model in TAGGED if hasattr(model, "fit")), key=lambda model: model.__name__)


def test_every_calibrator_and_config_is_in_its_union():
    assert set(get_args(get_args(AnyCalibratorConfig)[0])) == set(CONFIGS)
    assert set(get_args(get_args(AnyCalibrator)[0])) == TAGGED - set(CONFIGS)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda model: model.__name__)
def test_a_fitted_calibrator_comes_back_through_the_union_and_is_calibrated(config, rng: np.random.Generator):
    logits = rng.normal(0, 2, 4000)
    outcome = (rng.random(4000) < expit(2 * logits)).astype(np.int64)
    fitted = config().fit(logits, outcome)
    assert TypeAdapter(AnyCalibrator).validate_json(fitted.to_json()) == fitted
    assert fitted.kind == config().kind
    assert fitted.probability(logits).mean() == pytest.approx(outcome.mean(), abs=2e-3)
