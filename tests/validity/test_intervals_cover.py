"""Confidence intervals, counted: how often does a 95 % interval hold the number of the population it was drawn from?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import expit

from stage1_core.metrics.bootstrap import BootstrapConfig, Method, bootstrap
from stage1_core.metrics.statistics import Statistic, augrc_of, brier_of, mean_of, nll_of
from tests.validity.populations import Population, separated

pytestmark = pytest.mark.slow

SAMPLES = 800
LOWEST, HIGHEST = 0.92, 0.98
"""Coverage of 95 % intervals: almost four standard errors of a count of so many samples."""

ALONE = Population(separated(1.0))
CLUSTERED = Population(separated(1.0), group_size=5, spread_in_group=0.1)

Clusters = Callable[[int], np.ndarray]


def statistics(margin: np.ndarray, labels: np.ndarray) -> dict[str, Statistic]:
    logits = np.stack([-margin, margin], axis=1)  # the true log-odds are twice the margin
    failure = (margin >= 0) != (labels == 1)
    confidence = expit(2 * np.abs(margin))
    return {
        "augrc": augrc_of(confidence, failure),
        "nll": nll_of(logits, labels),
        "brier": brier_of(expit(2 * margin), labels),
        "accuracy": mean_of(1.0 - failure),
        "coverage": mean_of((confidence >= 0.9).astype(np.float64)),
    }


def counted_coverage(
    population: Population, groups: int, method: Method, *, seed: int, ignore_groups: bool = False
) -> dict[str, float]:
    """Share of samples whose interval holds the truth, for each number."""
    rng = np.random.default_rng(seed)
    many = statistics(*population.arrays(rng, 2_000_000 // population.group_size))
    truth = {name: statistic(np.ones((1, 2_000_000)))[0] for name, statistic in many.items()}
    held = dict.fromkeys(truth, 0)
    for _ in range(SAMPLES):
        margin, labels = population.arrays(rng, groups)
        group = np.arange(len(labels)) // (1 if ignore_groups else population.group_size)
        resampled = bootstrap(
            statistics(margin, labels),
            strata=labels,
            clusters=group.astype(np.str_),
            config=BootstrapConfig(method=method),
            generator=rng,
        )
        for name, interval in resampled.intervals.items():
            held[name] += interval.lower <= truth[name] <= interval.upper
    return {name: count / SAMPLES for name, count in held.items()}


@pytest.mark.parametrize("method", ["bca", "percentile"])
def test_intervals_of_independent_rows_hold_the_truth(method: Method):
    covered = counted_coverage(ALONE, 400, method, seed=1)
    assert all(LOWEST <= share <= HIGHEST for share in covered.values()), covered


@pytest.mark.parametrize("method", ["bca", "percentile"])
def test_intervals_of_clustered_rows_hold_the_truth_when_clusters_are_drawn(method: Method):
    covered = counted_coverage(CLUSTERED, 100, method, seed=2)
    assert all(LOWEST <= share <= HIGHEST for share in covered.values()), covered


def test_intervals_of_clustered_rows_miss_the_truth_when_rows_are_drawn():
    covered = counted_coverage(CLUSTERED, 100, "percentile", seed=3, ignore_groups=True)
    assert all(share < 0.8 for share in covered.values()), covered
