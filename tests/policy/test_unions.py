"""Every policy is one module and two names in the unions; everything else follows from these."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import get_args

import pytest

import stage1_core.policy
from stage1_core.config import FrozenModel
from stage1_core.policy import AnyPolicy, AnyPolicyConfig
from stage1_core.splits import CERTIFYING


def members(union: object) -> set[type]:
    """The models of a tagged union."""
    alternatives, *_ = get_args(union)
    return set(get_args(alternatives))


MODULES = [
    importlib.import_module(f"stage1_core.policy.{module.name}")
    for module in pkgutil.iter_modules(stage1_core.policy.__path__)
]
TAGGED = {
    value
    for module in MODULES
    for value in vars(module).values()
    if inspect.isclass(value)
    and issubclass(value, FrozenModel)
    and value.__module__ == module.__name__
    and "kind" in value.model_fields
}
POLICIES = {model for model in TAGGED if hasattr(model, "decide")}
CONFIGS = {model for model in TAGGED if hasattr(model, "fit")}


def test_every_policy_with_a_kind_is_in_the_union():
    assert members(AnyPolicy) == POLICIES


def test_every_policy_config_is_in_the_union():
    assert members(AnyPolicyConfig) == CONFIGS


@pytest.mark.parametrize("union", [AnyPolicy, AnyPolicyConfig], ids=["policies", "configs"])
def test_no_two_members_share_a_kind(union: object):
    kinds = [model.model_fields["kind"].default for model in members(union)]
    assert len(set(kinds)) == len(kinds)


def test_a_config_and_its_policy_share_module_and_kind():
    for config in CONFIGS:
        [policy] = [model for model in POLICIES if model.__module__ == config.__module__]
        assert policy.model_fields["kind"].default == config.model_fields["kind"].default


@pytest.mark.parametrize("config", sorted(CONFIGS, key=lambda model: model.__name__), ids=lambda model: model.__name__)
def test_a_config_says_which_rows_certify_it_and_needs_no_arguments(config):
    assert config().certifies_on in CERTIFYING
