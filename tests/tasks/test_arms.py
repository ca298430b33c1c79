"""What may be compared."""

from __future__ import annotations

import pytest

from stage1_core.bundle.artifact import ArtifactKind, ArtifactRef
from stage1_core.errors import ModelError
from stage1_core.policy.arm_choice import ArmChoiceConfig
from stage1_core.policy.arms import ArmCost
from stage1_core.training.batching import UsedBatch
from tasks.arms import TrainedRecipe, TrainedSeed, judge_recipes
from tests.report.toys import CONSTRAINT

REF = ArtifactRef(kind=ArtifactKind.PREDICTIONS, path="predictions/0", sha256="0" * 64)


def recipe(name: str, used: int) -> TrainedRecipe:
    batch = UsedBatch(asked=64, used=used)
    run = TrainedSeed(seed=0, rows=REF, cost=ArmCost.nothing(), batch=batch)
    return TrainedRecipe(name=name, runs=(run,), head=REF)


def test_recipes_that_memory_gave_unequal_batches_are_not_compared():
    with pytest.raises(ModelError, match="frozen used 64 of 64, full used 32 of 64"):
        judge_recipes.fn(ArmChoiceConfig(), CONSTRAINT, "frozen", [recipe("frozen", 64), recipe("full", 32)])
