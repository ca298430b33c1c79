"""The toys of the report as fixtures."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stage1_core.policy import AnyPolicy, GatePolicy, NoExit, ScrcPolicy, SoftmaxPolicy
from stage1_core.policy.comparison import PolicyComparison
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.policy.evaluation import Measured
from stage1_core.predictions import Predictions
from tests.report import toys

MakeRows = Callable[..., Predictions]
Measure = Callable[[AnyPolicy, Predictions], Measured]


@pytest.fixture(scope="session")
def make_rows() -> MakeRows:
    """``make_rows(n, seed=..., purpose=...)``: separable scores with some errors; every row its own group."""
    return toys.rows


@pytest.fixture(scope="session")
def make_gated_rows() -> MakeRows:
    """``make_gated_rows(n, seed=..., purpose=...)``: scores of a gated head; two rows a group."""
    return toys.gated_rows


@pytest.fixture(scope="session")
def measure() -> Measure:
    """``measure(policy, rows)``: the evaluation with few resamples."""
    return toys.measure


@pytest.fixture(scope="session")
def constraint() -> RiskConstraint:
    return toys.CONSTRAINT


@pytest.fixture(scope="session")
def certified() -> SoftmaxPolicy:
    policy = toys.softmax_policy(1500)
    assert isinstance(policy, SoftmaxPolicy)
    return policy


@pytest.fixture(scope="session")
def no_exit() -> NoExit:
    policy = toys.softmax_policy(60)
    assert isinstance(policy, NoExit)
    return policy


@pytest.fixture(scope="session")
def gate() -> GatePolicy:
    policy = toys.gate_policy(3000)
    assert isinstance(policy, GatePolicy)
    return policy


@pytest.fixture(scope="session")
def scrc() -> ScrcPolicy:
    policy = toys.scrc_policy(3000)
    assert isinstance(policy, ScrcPolicy)
    assert policy.sweeps == "lambda1"
    return policy


@pytest.fixture(scope="session")
def pair() -> ScrcPolicy:
    """An SCRC policy whose certified levels differ in lambda2."""
    return toys.pair_policy(sooner=False)


@pytest.fixture(scope="session")
def compared() -> PolicyComparison:
    return toys.comparison()
