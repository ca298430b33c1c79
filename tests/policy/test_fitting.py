"""A policy of any kind from labelled predictions."""

from __future__ import annotations

import typing
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from stage1_core.errors import DataError, PolicyError
from stage1_core.metrics.risk import coverage, exit_error, fnr_on_exited
from stage1_core.policy import AnyPolicyConfig, NoExit
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.policy.fitting import PolicyFit, fit_policy, purposes
from stage1_core.policy.parts import divided
from stage1_core.predictions import Predictions
from stage1_core.splits import CERTIFYING, Purpose
from tests.toys import make_predictions

CONFIGS = [config() for config in typing.get_args(typing.get_args(AnyPolicyConfig)[0])]
each_config = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.kind)
PROMISE = RiskConstraint()


def rows(n: int, *, separation: float = 2.0, seed: int = 1) -> Predictions:
    """Groups of two rows, with gate logits that say something."""
    rng = np.random.default_rng(seed)
    made = make_predictions(rng, n, purpose=Purpose.FINAL_EVALUATION, separation=separation)
    gate = np.abs(made.scores.margin_logits) + rng.normal(size=n) - 2
    groups = np.array([f"site{number // 2}" for number in range(n)])
    return replace(made, scores=replace(made.scores, gate_logits=gate), groups=groups)


def parts_of(config, found: Predictions) -> dict[Purpose, Predictions]:
    wanted = purposes(config)
    return divided(found, dict.fromkeys(wanted, Fraction(1, len(wanted))), seed=0)


@each_config
def test_the_last_purpose_certifies(config):
    assert purposes(config)[0] is Purpose.SELECT_MODEL
    assert purposes(config)[-1] in CERTIFYING
    assert purposes(config)[-1] is config.certifies_on


@each_config
def test_a_good_model_gets_a_policy_and_its_numbers(config):
    parts = parts_of(config, rows(3000))
    fit = fit_policy(config, parts, PROMISE)
    counted = parts[config.certifies_on].independent()
    decisions = fit.policy.decide(counted.scores)
    assert fit.policy.can_exit
    assert fit.no_exit_reason is None
    assert fit.rule == fit.policy.rule_in_words()
    for risk in (coverage, fnr_on_exited, exit_error):
        assert getattr(fit.exits, risk.name) == risk(decisions, counted.labels).counted(0.9)
    certificate = fit.policy.certificate
    found = fit.exits.fnr_on_exited
    assert (found.events, found.trials, found.upper_bound) == (
        certificate.events,
        certificate.trials,
        certificate.upper_bound,
    )


@each_config
def test_sizes_count_rows_groups_and_what_is_counted(config):
    parts = parts_of(config, rows(3000))
    certify = parts[config.certifies_on]
    size = fit_policy(config, parts, PROMISE).parts["certify"]
    assert (size.rows, size.groups, size.positives) == (len(certify), len(certify) // 2, certify.labels.sum())
    independent = certify.independent()
    assert (size.counted_rows, size.counted_positives) == (len(independent), independent.labels.sum())
    every = fit_policy(config, parts, RiskConstraint(counting="every_row")).parts["certify"]
    assert (every.counted_rows, every.counted_positives) == (size.rows, size.positives)


@each_config
def test_too_few_rows_give_no_exit_with_what_is_missing(config):
    fit = fit_policy(config, parts_of(config, rows(100, separation=0.5)), PROMISE)
    assert isinstance(fit.policy, NoExit)
    assert "no exit" in fit.no_exit_reason
    assert fit.exits.coverage.events == 0


@each_config
def test_the_fit_is_the_same_after_its_json(config, tmp_path):
    fit = fit_policy(config, parts_of(config, rows(1000)), PROMISE)
    (tmp_path / "fit.json").write_text(fit.to_json())
    assert PolicyFit.from_json_file(tmp_path / "fit.json") == fit


@each_config
def test_rows_without_positives_certify_no_fnr(config):
    found = rows(1000)
    fit = fit_policy(config, parts_of(config, replace(found, labels=np.zeros_like(found.labels))), PROMISE)
    assert not fit.policy.can_exit


@each_config
def test_shared_groups_and_shared_rows_are_refused(config):
    parts = parts_of(config, rows(600))
    order, certify = parts[Purpose.SELECT_MODEL], config.certifies_on
    with pytest.raises(DataError, match="groups lie in the rows that order and in those that certify"):
        fit_policy(config, parts | {certify: replace(order, purpose=certify)}, PROMISE)
    elsewhere = replace(order, purpose=certify, groups=np.char.add("other ", order.groups))
    with pytest.raises(PolicyError, match="split them apart"):
        fit_policy(config, parts | {certify: elsewhere}, PROMISE)
