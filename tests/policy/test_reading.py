"""A policy from a file that may hold anything."""

from __future__ import annotations

import json

import numpy as np
import pytest

from stage1_core.errors import PolicyError
from stage1_core.policy import SoftmaxPolicyConfig
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.policy.reading import read_policy
from stage1_core.splits import Purpose
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
    assert "softmax.exit_threshold" in refused(json.dumps(content | {"exit_threshold": 1.5}))


def test_a_field_of_a_newer_version_names_that_version(refused, content):
    assert "version 99.0 wrote it" in refused(json.dumps(content | {"stage1_core_version": "99.0", "halo": 1}))


def test_a_path_that_is_no_file_is_refused(tmp_path):
    for path, said in ((tmp_path / "absent.json", "does not exist"), (tmp_path, "is a folder")):
        with pytest.raises(PolicyError, match=said):
            read_policy(path)
