"""Recipes of a comparison: what ships, and what is refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from stage1_core.adaptation.arm import ArmConfig, SharedRecipe, adaptation_training, default_arms
from stage1_core.model.adapters.config import FrozenBackboneConfig, LoraAdapterConfig
from stage1_core.training.config import gate_training, selectivenet_training
from stage1_core.training.selection import SelectionMetric


def test_the_reference_comes_first_and_every_way_to_train_a_backbone_is_there_once():
    arms = default_arms()
    assert [arm.adapter.kind for arm in arms] == ["frozen", "full", "lora", "dora", "doran"]
    assert [arm.name for arm in arms] == [arm.adapter.kind for arm in arms]


def test_arms_differ_by_the_adapter_and_its_rate_alone():
    same = adaptation_training()
    for arm in default_arms():
        optimizer = arm.training.optimizer.model_copy(update={"lr_backbone": same.optimizer.lr_backbone})
        assert arm.training.model_copy(update={"optimizer": optimizer}) == same


def test_low_rank_factors_take_a_higher_rate_than_the_weights_themselves():
    rates = {arm.adapter.kind: arm.training.optimizer.lr_backbone for arm in default_arms()}
    assert rates["lora"] == rates["dora"] == rates["doran"] >= 10 * rates["full"]


def test_the_epoch_is_chosen_by_augrc_with_accuracys_best_beside_it():
    selection = adaptation_training().selection
    assert (selection.metric, selection.keep_also) == (SelectionMetric.AUGRC, (SelectionMetric.ACCURACY,))


def test_an_objective_that_needs_cached_features_is_refused():
    with pytest.raises(ValidationError, match=r"correctness_gate learns from held-out answers.*use cross_entropy or"):
        ArmConfig(name="gate", adapter=FrozenBackboneConfig(), training=gate_training())


def test_an_objective_that_learns_from_pictures_alone_is_taken():
    arm = ArmConfig(name="selective", adapter=LoraAdapterConfig(), training=selectivenet_training())
    assert arm.training.objective.kind == "selective"


@pytest.mark.parametrize("name", ["", "Full", "-full", "full tuning", "full/1"])
def test_a_name_fits_into_tables_and_metric_names(name):
    with pytest.raises(ValidationError, match="name"):
        ArmConfig(name=name, adapter=FrozenBackboneConfig())


@pytest.mark.parametrize("seeds", [(), (-1,), (2**32,)])
def test_seeds_are_at_least_one_and_fit_into_32_bits(seeds):
    with pytest.raises(ValidationError, match="seeds"):
        SharedRecipe(seeds=seeds)
