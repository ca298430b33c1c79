import numpy as np
import pytest

from stage1_core.splits import Purpose
from stage1_core.training.reference import reference_accuracy
from stage1_core.training.rows import FeatureRows


def rows(purpose, *, n, shift, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    values = rng.normal(size=(n, 8)).astype(np.float32)
    values[:, 0] += shift * (2 * labels - 1)
    return FeatureRows.of(purpose, np.array([f"{purpose}-{index}" for index in range(n)]), values, labels)


@pytest.mark.parametrize(("shift", "bayes_accuracy"), [(0.0, 0.5), (1.0, 0.841), (4.0, 1.0)])
def test_the_reference_comes_near_the_best_possible_accuracy(shift, bayes_accuracy):
    fit_rows = rows(Purpose.FIT_WEIGHTS, n=600, shift=shift, seed=0)
    select_rows = rows(Purpose.SELECT_MODEL, n=2000, shift=shift, seed=1)
    assert reference_accuracy(fit_rows, select_rows) == pytest.approx(bayes_accuracy, abs=0.03)
