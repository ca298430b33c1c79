"""A policy from a file that may hold anything."""

from __future__ import annotations

import json

import numpy as np
import pytest

from stage1_core.errors import PolicyError
from stage1_core.policy import GatePolicyConfig, NoExit, ScrcPolicyConfig, SoftmaxPolicyConfig
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.policy.reading import read_policy
from stage1_core.splits import Purpose
from tests.policy.gated import CALIBRATE, CERTIFY, ORDER, paired_rows
from tests.toys import make_predictions


@pytest.fixture(scope="module")
def content():
    order, certify = (
        make_predictions(np.random.default_rng(seed), 1000, purpose=purpose, name=purpose.value)
        for seed, purpose in enumerate((Purpose.SELECT_MODEL, Purpose.CERTIFY_UNCALIBRATED_POLICY))
    )
    return json.loads(SoftmaxPolicyConfig().fit(order, certify, RiskConstraint()).to_json())


@pytest.fixture
def refused(tmp_path):
    def refused(text):
        path = tmp_path / "policy.json"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(PolicyError) as raised:
            read_policy(path)
        message = str(raised.value)
        assert message.startswith(str(path))
        assert "\n" not in message
        return message

    return refused


def test_a_policy_is_read(content, tmp_path):
    (tmp_path / "policy.json").write_text(json.dumps(content))
    assert read_policy(tmp_path / "policy.json").exit_threshold == content["exit_threshold"]


@pytest.mark.parametrize("text", ["", "{", b"\xff\xfe", "kind: softmax"])
def test_what_is_no_json_is_called_so(refused, text):
    assert "is not JSON" in refused(text)


@pytest.mark.parametrize("text", ["[]", "3", "{}", '{"kind": 3}', '{"coverage": 0.5}'])
def test_other_json_is_called_no_policy(refused, text):
    assert "no policy: it has no kind" in refused(text)


def test_an_unknown_kind_is_shown_with_the_known_ones(refused):
    message = refused('{"kind": "oracle"}')
    assert "'oracle'" in message
    assert "'softmax'" in message


def test_the_first_thing_that_is_wrong_is_named(refused, content):
    assert "softmax.exit_threshold" in refused(json.dumps(content | {"exit_threshold": 2.5}))


def policy_of(kind):
    rng = np.random.default_rng(1)
    order, certify, calibrate = (paired_rows(rng, 1000, purpose) for purpose in (ORDER, CERTIFY, CALIBRATE))
    if kind == "gate":
        return GatePolicyConfig().fit(order, certify, RiskConstraint(), calibrate_on=calibrate)
    config = SoftmaxPolicyConfig() if kind == "softmax" else ScrcPolicyConfig()
    return config.fit(order, certify, RiskConstraint())


@pytest.mark.parametrize("kind", ["softmax", "gate", "scrc"])
def test_of_each_kind_only_certified_thresholds_are_read(refused, tmp_path, kind):
    policy = policy_of(kind)
    field = policy.sweeps if kind == "scrc" else {"softmax": "exit_threshold", "gate": "gate_threshold"}[kind]
    certified = [level.threshold for level in policy.sweep_results if level.certified]
    others = [level.threshold for level in policy.sweep_results if not level.certified]
    assert len(certified) > 1
    for threshold in certified:
        (tmp_path / "certified.json").write_text(policy.at_threshold(threshold).to_json())
        assert read_policy(tmp_path / "certified.json").threshold == threshold
    for threshold in (others[0], 0.987):
        message = refused(policy.model_copy(update={field: threshold}).to_json())
        assert f"the threshold {threshold!r} was never certified" in message
    assert "was never certified" in refused(policy.strictest().to_json())


def test_a_policy_that_lets_nothing_exit_needs_no_certificate(tmp_path):
    rng = np.random.default_rng(3)
    policy = SoftmaxPolicyConfig().fit(paired_rows(rng, 20, ORDER), paired_rows(rng, 20, CERTIFY), RiskConstraint())
    (tmp_path / "policy.json").write_text(policy.to_json())
    assert isinstance(policy, NoExit)
    assert read_policy(tmp_path / "policy.json") == policy


def test_a_field_of_a_newer_version_names_that_version(refused, content):
    assert "version 99.0 wrote it" in refused(json.dumps(content | {"stage1_core_version": "99.0", "halo": 1}))


def test_a_path_that_is_no_file_is_refused(tmp_path):
    for path, said in ((tmp_path / "absent.json", "does not exist"), (tmp_path, "is a folder")):
        with pytest.raises(PolicyError, match=said):
            read_policy(path)
