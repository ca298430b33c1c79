from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import TypeAdapter, ValidationError

from stage1_core.adaptation.config import ExploraConfig, FeatureDistillation, MaskedObjectiveConfig
from tests.adaptation.toys import OBJECTIVES


def test_features_are_distilled_unless_another_objective_is_named():
    assert ExploraConfig().objective == FeatureDistillation()


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda config: config.kind)
def test_a_configuration_is_read_as_it_was_written(objective):
    config = ExploraConfig(objective=objective)

    assert ExploraConfig.model_validate_json(config.to_json()) == config


def test_an_unknown_objective_is_refused():
    with pytest.raises(ValidationError, match="feature_distillation"):
        TypeAdapter(MaskedObjectiveConfig).validate_python({"kind": "mae"})


@pytest.mark.parametrize("blocks", [0, 3])
def test_one_or_two_blocks_are_unfrozen(blocks):
    with pytest.raises(ValidationError):
        ExploraConfig.model_validate({"trainable": {"unfrozen_blocks": blocks}})


def test_the_configuration_is_light_to_import():
    program = (
        "import sys, stage1_core.adaptation.config; "
        "print([name for name in ('torch', 'transformers', 'peft', 'sklearn') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"
