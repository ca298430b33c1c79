"""Toys for the report: small predictions with known truth, and the policies fitted on them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from stage1_core.policy import NoExit, SoftmaxPolicy, SoftmaxPolicyConfig
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.predictions import Predictions, Scores
from stage1_core.splits import Purpose

MakeRows = Callable[..., Predictions]


def _rows(n: int, *, seed: int = 0, purpose: Purpose = Purpose.FINAL_EVALUATION) -> Predictions:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, n)
    margin = (2 * labels - 1) * 5.0 + generator.normal(0, 3, n)
    ids = np.array([f"{purpose}/{seed}/{index}" for index in range(n)], dtype=np.str_)
    sources = np.array(["east", "west"], dtype=np.str_)[generator.integers(0, 2, n)]
    return Predictions(purpose, Scores(ids, np.stack([-margin / 2, margin / 2], axis=1)), labels, ids, sources)


@pytest.fixture(scope="session")
def make_rows() -> MakeRows:
    """``make_rows(n, seed=..., purpose=...)``: separable scores with some errors; every row its own group."""
    return _rows


@pytest.fixture(scope="session")
def constraint() -> RiskConstraint:
    return RiskConstraint()


def _fit(certifying: int, constraint: RiskConstraint) -> SoftmaxPolicy | NoExit:
    order_on = _rows(800, seed=1, purpose=Purpose.SELECT_MODEL)
    certify_on = _rows(certifying, seed=2, purpose=Purpose.CERTIFY_UNCALIBRATED_POLICY)
    return SoftmaxPolicyConfig().fit(order_on, certify_on, constraint)


@pytest.fixture(scope="session")
def certified(constraint: RiskConstraint) -> SoftmaxPolicy:
    policy = _fit(1500, constraint)
    assert isinstance(policy, SoftmaxPolicy)
    return policy


@pytest.fixture(scope="session")
def no_exit(constraint: RiskConstraint) -> NoExit:
    policy = _fit(60, constraint)
    assert isinstance(policy, NoExit)
    return policy
