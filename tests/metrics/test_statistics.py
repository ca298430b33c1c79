from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import average_precision_score, balanced_accuracy_score, matthews_corrcoef, roc_auc_score

from stage1_core.metrics.calibration_error import classwise_ece, ece
from stage1_core.metrics.proper_scores import brier, nll
from stage1_core.metrics.risk_coverage import augrc, aurc, coverage_at_risk, e_aurc, risk_at_coverage
from stage1_core.metrics.statistics import (
    Statistic,
    augrc_of,
    aurc_of,
    auroc_of,
    average_precision_of,
    balanced_accuracy_of,
    brier_of,
    classwise_ece_of,
    coverage_at_risk_of,
    difference_of,
    e_aurc_of,
    ece_of,
    mcc_of,
    mean_of,
    nll_of,
    ratio_of,
    risk_at_coverage_of,
)


@dataclass(frozen=True)
class Rows:
    margin: np.ndarray
    labels: np.ndarray

    @property
    def logits(self) -> np.ndarray:
        return np.stack([-self.margin / 2, self.margin / 2], axis=1)

    @property
    def probability(self) -> np.ndarray:
        return expit(self.margin)

    @property
    def predicted(self) -> np.ndarray:
        return (self.margin >= 0).astype(np.int64)

    @property
    def failure(self) -> np.ndarray:
        return self.predicted != self.labels

    @property
    def confidence(self) -> np.ndarray:
        return expit(np.abs(self.margin))

    @property
    def exited(self) -> np.ndarray:
        return self.confidence > 0.7

    def repeated(self, times: np.ndarray) -> Rows:
        return Rows(np.repeat(self.margin, times), np.repeat(self.labels, times))


def with_both_classes(metric: Callable[[Rows], float]) -> Callable[[Rows], float | None]:
    return lambda rows: metric(rows) if 0 < rows.labels.sum() < len(rows.labels) else None


def fnr_on_exited(rows: Rows) -> float | None:
    called = rows.predicted[rows.exited & (rows.labels == 1)]
    return float((called == 0).mean()) if len(called) else None


FAMILY: dict[str, tuple[Callable[[Rows], Statistic], Callable[[Rows], float | None]]] = {
    "mean": (lambda r: mean_of(r.margin), lambda r: float(r.margin.mean()) if len(r.margin) else None),
    "ratio": (lambda r: ratio_of(r.predicted == 0, r.exited & (r.labels == 1)), fnr_on_exited),
    "nll": (lambda r: nll_of(r.logits, r.labels), lambda r: nll(r.logits, r.labels)),
    "brier": (lambda r: brier_of(r.probability, r.labels), lambda r: brier(r.probability, r.labels)),
    "ece": (lambda r: ece_of(r.confidence, ~r.failure, 7), lambda r: ece(r.confidence, ~r.failure, 7)),
    "classwise ece": (
        lambda r: classwise_ece_of(r.probability, r.labels),
        lambda r: classwise_ece(r.probability, r.labels),
    ),
    "balanced accuracy": (
        lambda r: balanced_accuracy_of(r.predicted, r.labels),
        with_both_classes(lambda r: balanced_accuracy_score(r.labels, r.predicted)),
    ),
    "mcc": (
        lambda r: mcc_of(r.predicted, r.labels),
        with_both_classes(lambda r: matthews_corrcoef(r.labels, r.predicted)),
    ),
    "auroc": (lambda r: auroc_of(r.margin, r.labels), with_both_classes(lambda r: roc_auc_score(r.labels, r.margin))),
    "average precision": (
        lambda r: average_precision_of(r.margin, r.labels),
        lambda r: float(average_precision_score(r.labels, r.margin)) if r.labels.any() else None,
    ),
    "augrc": (lambda r: augrc_of(r.confidence, r.failure), lambda r: augrc(r.confidence, r.failure)),
    "aurc": (lambda r: aurc_of(r.confidence, r.failure), lambda r: aurc(r.confidence, r.failure)),
    "e-aurc": (lambda r: e_aurc_of(r.confidence, r.failure), lambda r: e_aurc(r.confidence, r.failure)),
    **{
        f"risk at coverage {level}": (
            lambda r, level=level: risk_at_coverage_of(r.confidence, r.failure, level),
            lambda r, level=level: risk_at_coverage(r.confidence, r.failure, level),
        )
        for level in (0.1, 0.55, 0.9, 1.0)
    },
    **{
        f"coverage at risk {level}": (
            lambda r, level=level: coverage_at_risk_of(r.confidence, r.failure, level),
            lambda r, level=level: coverage_at_risk(r.confidence, r.failure, level),
        )
        for level in (0.0, 0.1, 0.5)
    },
}

every_statistic = pytest.mark.parametrize(("of", "plain"), FAMILY.values(), ids=FAMILY)

rows_with_times = st.lists(
    st.tuples(st.integers(-6, 6), st.integers(0, 1), st.integers(0, 3)), min_size=1, max_size=40
).map(
    lambda rows: (
        Rows(np.array([margin / 2 for margin, _, _ in rows]), np.array([label for _, label, _ in rows])),
        np.array([times for _, _, times in rows]),
    )
)


def same(value: float, expected: float | None) -> bool:
    return bool(np.isnan(value)) if expected is None else value == pytest.approx(expected, abs=1e-12)


@every_statistic
@given(rows_with_times)
def test_with_unit_weights_it_is_the_plain_metric(of, plain, given_rows):
    rows, _ = given_rows
    assert same(of(rows)(np.ones((1, len(rows.labels))))[0], plain(rows))


@every_statistic
@given(rows_with_times)
def test_with_whole_weights_it_is_the_plain_metric_of_the_repeated_rows(of, plain, given_rows):
    rows, times = given_rows
    assert same(of(rows)(times[None].astype(np.float64))[0], plain(rows.repeated(times)))


@every_statistic
def test_each_row_of_weights_is_judged_alone(of, plain):
    rng = np.random.default_rng(1)
    rows = Rows(rng.normal(size=50).round(1), rng.integers(0, 2, 50))
    times = rng.poisson(1, (20, 50))
    values = of(rows)(times.astype(np.float64))
    assert values.shape == (20,)
    assert all(same(value, plain(rows.repeated(t))) for value, t in zip(values, times, strict=True))


@every_statistic
def test_only_proportions_of_weights_count(of, plain):
    rng = np.random.default_rng(2)
    rows = Rows(rng.normal(size=60).round(1), rng.integers(0, 2, 60))
    weights = rng.uniform(0.1, 2, (3, 60))
    np.testing.assert_allclose(of(rows)(weights / 4), of(rows)(weights), rtol=1e-12)


def test_the_difference_of_two_statistics_is_taken_under_the_same_weights():
    rng = np.random.default_rng(3)
    a, b = mean_of(rng.normal(size=30)), mean_of(rng.normal(size=30))
    weights = rng.poisson(1, (5, 30)).astype(np.float64)
    np.testing.assert_array_equal(difference_of(a, b)(weights), a(weights) - b(weights))
