from __future__ import annotations

import numpy as np
import pytest

from stage1_core.metrics.joint_evaluation import evaluation_of, reading_order
from stage1_core.metrics.statistics import (
    Combination,
    Statistic,
    augrc_of,
    aurc_of,
    auroc_of,
    difference_of,
    ece_of,
    mcc_of,
    mean_of,
)

ROWS = 10_000


def statistics(rng: np.random.Generator) -> dict[str, Statistic]:
    margin, labels = rng.normal(size=ROWS).round(2), rng.integers(0, 2, ROWS)
    failure = (margin >= 0) != (labels == 1)
    confidence = np.abs(margin) / 10
    shared = augrc_of(confidence + margin, failure)
    return {
        "mean": mean_of(margin),
        "augrc": augrc_of(confidence, failure),
        "auroc": auroc_of(margin, labels),
        "aurc": aurc_of(confidence, failure),
        "ece": ece_of(confidence, ~failure),
        "difference": difference_of(mean_of(margin), mean_of(confidence)),
        "mcc": mcc_of((margin >= 0).astype(np.int64), labels),
        "combination": Combination(((0.5, shared), (0.5, mean_of(margin)), (-1.0, mean_of(confidence)))),
        "other combination": Combination(((2.0, shared),)),
    }


@pytest.mark.parametrize("clusters", [ROWS, 700])
def test_together_statistics_are_what_they_are_alone(clusters: int):
    rng = np.random.default_rng(1)
    of_row = rng.permutation(np.arange(ROWS) % clusters)
    weights = rng.poisson(1, (5, clusters)).astype(np.uint8)
    family = statistics(rng)
    together = evaluation_of(family, of_row, clusters)(weights)
    assert list(together) == list(family)
    for name, statistic in family.items():
        np.testing.assert_allclose(together[name], statistic(weights[:, of_row].astype(np.float64)), rtol=1e-12)


def test_rows_are_read_in_the_order_of_the_first_ranking():
    rng = np.random.default_rng(2)
    family = statistics(rng)
    np.testing.assert_array_equal(reading_order(family, ROWS), family["augrc"].ranking.order)
    np.testing.assert_array_equal(reading_order({"mean": family["mean"]}, ROWS), np.arange(ROWS))
