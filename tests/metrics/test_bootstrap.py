from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from stage1_core.errors import Stage1Error
from stage1_core.metrics.bootstrap import BootstrapConfig, Interval, Resampled, bootstrap
from stage1_core.metrics.statistics import Statistic, augrc_of, difference_of, mean_of, ratio_of

CONFIG = BootstrapConfig()


def rows_alone(n: int) -> np.ndarray:
    return np.arange(n).astype(np.str_)


def resample(
    statistics: dict[str, Statistic],
    n: int,
    *,
    strata: np.ndarray | None = None,
    clusters: np.ndarray | None = None,
    config: BootstrapConfig = CONFIG,
    seed: int = 0,
) -> Resampled:
    return bootstrap(
        statistics,
        strata=np.zeros(n, dtype=np.int64) if strata is None else strata,
        clusters=rows_alone(n) if clusters is None else clusters,
        config=config,
        generator=np.random.default_rng(seed),
    )


@pytest.mark.parametrize(("method", "scipy_method"), [("percentile", "percentile"), ("bca", "BCa")])
@pytest.mark.parametrize("n", [20, 100])
def test_the_interval_of_a_mean_is_that_of_scipy(method: str, scipy_method: str, n: int):
    values = np.random.default_rng(n).exponential(size=n)
    config = BootstrapConfig(resamples=50_000, method=method)
    ours = resample({"mean": mean_of(values)}, n, config=config).intervals["mean"]
    theirs = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=50_000, method=scipy_method, rng=np.random.default_rng(1), batch=1000
    )
    # The standard error of a 2.5 % quantile of so many draws is about 0.012 of theirs in either result.
    allowed = 5 * np.sqrt(2) * 0.012 * theirs.standard_error
    assert ours.method == method
    assert ours.value == pytest.approx(values.mean(), rel=1e-12)
    assert ours.std == pytest.approx(theirs.standard_error, rel=0.03)
    assert ours.lower == pytest.approx(theirs.confidence_interval.low, abs=allowed)
    assert ours.upper == pytest.approx(theirs.confidence_interval.high, abs=allowed)


def test_bca_and_percentile_differ_where_the_distribution_is_skew():
    values = np.random.default_rng(20).exponential(size=20)
    bca, percentile = (
        resample({"mean": mean_of(values)}, 20, config=BootstrapConfig(resamples=50_000, method=method)).intervals[
            "mean"
        ]
        for method in ("bca", "percentile")
    )
    assert bca.upper > percentile.upper + 0.05 * percentile.std


def test_no_observed_misses_give_an_interval_without_width_so_promises_need_exact_bounds():
    """The exact 95 % upper bound after 40 trials without a miss is 0.072; no resample ever shows one."""
    trials = np.arange(100) < 40
    statistic = {"fnr": ratio_of(np.zeros(100, dtype=np.bool_), trials)}
    for method in ("percentile", "bca"):
        interval = resample(statistic, 100, config=BootstrapConfig(method=method)).intervals["fnr"]
        assert (interval.lower, interval.upper, interval.method) == (0.0, 0.0, "percentile")


def test_undefined_resamples_are_dropped_and_counted():
    trials = np.arange(50) < 2
    resampled = resample({"share": ratio_of(np.arange(50) < 1, trials)}, 50, config=BootstrapConfig(resamples=2000))
    draws, interval = resampled.draws["share"], resampled.intervals["share"]
    assert interval.resamples == np.count_nonzero(~np.isnan(draws)) < len(draws) == 2000
    assert np.isnan(draws).mean() == pytest.approx((1 - 2 / 50) ** 50, abs=0.04)
    assert interval.mean == pytest.approx(np.nanmean(draws))
    assert interval.std == pytest.approx(np.nanstd(draws, ddof=1), rel=1e-12)
    assert (interval.lower, interval.upper) == (0.0, 1.0)


def test_a_number_that_is_undefined_on_the_sample_has_no_interval():
    never = np.zeros(30, dtype=np.bool_)
    interval = resample({"share": ratio_of(never, never)}, 30).intervals["share"]
    assert interval == Interval(
        value=None, mean=None, std=None, lower=None, upper=None, method="percentile", resamples=0
    )


def test_without_rows_everything_is_undefined():
    resampled = resample({"mean": mean_of(np.zeros(0))}, 0)
    assert resampled.intervals["mean"].value is None
    assert np.isnan(resampled.draws["mean"]).all()
    assert len(resampled.draws["mean"]) == CONFIG.resamples


def test_strata_keep_their_share():
    labels = np.random.default_rng(1).integers(0, 2, 200)
    resampled = resample({"positives": mean_of(labels.astype(np.float64))}, 200, strata=labels)
    assert (resampled.draws["positives"] == labels.mean()).all()


def test_rows_of_a_cluster_are_drawn_together():
    clusters = np.repeat(rows_alone(30), 4)
    seen = []

    def spy(weights: np.ndarray) -> np.ndarray:
        seen.append(weights)
        return weights[:, 0]

    resample({"spy": spy}, 120, clusters=clusters)
    weights = np.concatenate(seen).reshape(-1, 30, 4)
    np.testing.assert_array_equal(weights, np.repeat(weights[:, :, :1], 4, axis=2))
    assert (weights[: CONFIG.resamples].sum(axis=(1, 2)) == 120).all()


def test_clusters_of_equal_rows_widen_the_interval_by_the_square_root_of_their_size():
    values = np.random.default_rng(2).normal(size=400)
    statistic = {"mean": mean_of(np.repeat(values, 9))}
    config = BootstrapConfig(resamples=4000)
    together = resample(statistic, 3600, clusters=np.repeat(rows_alone(400), 9), config=config).intervals["mean"]
    alone = resample(statistic, 3600, config=config).intervals["mean"]
    assert together.std == pytest.approx(3 * alone.std, rel=0.06)
    assert together.method == alone.method == "bca"


def test_every_statistic_sees_the_same_resamples():
    rng = np.random.default_rng(3)
    confidence, failure = rng.random(500).round(2), rng.random(500) < 0.2
    fast, mean = augrc_of(confidence, failure), mean_of(confidence)
    draws = resample(
        {"fast": fast, "slow": lambda weights: fast(weights), "mean": mean, "difference": difference_of(fast, mean)},
        500,
    ).draws
    np.testing.assert_allclose(draws["fast"], draws["slow"], rtol=1e-12)
    np.testing.assert_allclose(draws["difference"], draws["fast"] - draws["mean"], rtol=1e-12)


def test_the_draws_do_not_depend_on_the_method():
    values = np.random.default_rng(4).normal(size=90)
    bca, percentile = (
        resample({"mean": mean_of(values)}, 90, config=BootstrapConfig(method=method)).draws["mean"]
        for method in ("bca", "percentile")
    )
    np.testing.assert_array_equal(bca, percentile)


def test_the_generator_alone_decides():
    values = np.random.default_rng(5).normal(size=3000)
    first, again, other = (resample({"mean": mean_of(values)}, 3000, seed=seed) for seed in (1, 1, 2))
    assert first.intervals == again.intervals
    np.testing.assert_array_equal(first.draws["mean"], again.draws["mean"])
    assert first.intervals != other.intervals


def test_a_wider_level_gives_a_wider_interval():
    values = np.random.default_rng(6).normal(size=200)
    narrow, wide = (
        resample({"mean": mean_of(values)}, 200, config=BootstrapConfig(level=level)).intervals["mean"]
        for level in (0.8, 0.99)
    )
    assert wide.lower < narrow.lower < narrow.upper < wide.upper


def test_strata_and_clusters_of_different_length_are_refused():
    with pytest.raises(Stage1Error, match="3 strata and 2 clusters"):
        resample({}, 3, clusters=rows_alone(2))
