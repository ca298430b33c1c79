from __future__ import annotations

import pytest
import torch

from stage1_core.adaptation.config import PretrainingOptimizerConfig
from stage1_core.adaptation.encoder import VisionTransformer
from stage1_core.adaptation.learner import MaskedLearner, build_objective, parameter_groups
from stage1_core.training.execution import make_accelerator
from tests.adaptation.toys import OBJECTIVES, PIXELS, moved, toy_config

RATES = PretrainingOptimizerConfig(lr_lora=1, lr_blocks=2, lr_norms=3, lr_objective=4, weight_decay=0.5)


@pytest.mark.parametrize("config", OBJECTIVES, ids=lambda config: config.kind)
def test_each_part_has_its_learning_rate_and_only_matrices_decay(config, backbone):
    changed, names = moved(backbone)
    transformer = VisionTransformer.of(changed)
    objective = build_objective(config, transformer, transformer)
    groups = parameter_groups(changed.network, names, objective, RATES)
    rate = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    decays = {id(parameter): group["weight_decay"] for group in groups for parameter in group["params"]}
    part_of = {name: part for part in ("lora", "blocks", "norms", "mask_token") for name in getattr(names, part)}
    expected = {"lora": 1, "blocks": 2, "norms": 3, "mask_token": 4}

    assert len(rate) == len(names.all) + len(list(objective.parameters()))
    for name, parameter in changed.network.named_parameters():
        if name in part_of:
            is_matrix = parameter.ndim == 2
            assert rate[id(parameter)] == expected[part_of[name]], name
            assert decays[id(parameter)] == (0.5 if is_matrix else 0), name
    assert {rate[id(parameter)] for parameter in objective.parameters()} <= {4}


def test_a_step_returns_the_loss_before_it_and_leaves_the_teacher_as_it_was(backbone):
    torch.manual_seed(0)
    learner = MaskedLearner(backbone, toy_config(), make_accelerator("auto"))
    before = learner.original(PIXELS)
    losses = [learner.step(PIXELS, torch.Generator().manual_seed(0)).item() for _ in range(6)]

    assert losses[-1] < losses[0]
    assert torch.equal(learner.original(PIXELS), before)
    assert not any(module.training for module in learner.adapted.modules())
