"""What changes while pretraining goes on, and the one way in which it does: a step on a batch of pictures."""

from __future__ import annotations

import copy
from typing import Any, assert_never

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from stage1_core.adaptation.config import (
    ExploraConfig,
    FeatureDistillation,
    MaskedAutoencoder,
    MaskedObjectiveConfig,
    PretrainingOptimizerConfig,
    SimMim,
)
from stage1_core.adaptation.encoder import VisionTransformer
from stage1_core.adaptation.feature_distillation import FeatureDistillationObjective
from stage1_core.adaptation.masked_autoencoder import MaskedAutoencoderObjective
from stage1_core.adaptation.objective import MaskedObjective
from stage1_core.adaptation.simmim import SimMimObjective
from stage1_core.adaptation.trainable import TrainableNames, adapted
from stage1_core.model.backbone import Backbone
from stage1_core.training.adamw import AdamWUpdate


class MaskedLearner:
    """The original backbone, its adapted copy, the objective and the optimizer, on one device.

    Both backbones are in evaluation mode, also while the copy is trained: DINOv3 would else rescale its position
    embeddings at random, and what is learnt would not be the features that are used. Initial weights are drawn from
    the global generators.
    """

    def __init__(self, backbone: Backbone, config: ExploraConfig, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self.original = copy.deepcopy(backbone).to(accelerator.device)
        self.adapted, self.names = adapted(self.original, config.trainable)
        self._student = VisionTransformer.of(self.adapted)
        teacher = VisionTransformer.of(self.original)
        self.objective = build_objective(config.objective, self._student, teacher).to(accelerator.device)
        groups = parameter_groups(self.adapted.network, self.names, self.objective, config.optimizer)
        optimizer = torch.optim.AdamW(groups, fused=True)
        self.update = AdamWUpdate(optimizer, accelerator, config.optimizer.max_grad_norm)

    def step(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """Change the weights once; returns the loss before the change, on the device, without waiting for it."""

        def closure() -> Tensor:
            placed = pixels.to(self._accelerator.device, non_blocking=True)
            with self._accelerator.autocast():
                loss = self.objective.loss(self._student, placed, generator)
            self._accelerator.backward(loss)
            return loss.detach()

        return self.update.step(closure)


def build_objective(
    config: MaskedObjectiveConfig, student: VisionTransformer, teacher: VisionTransformer
) -> MaskedObjective:
    """The objective that ``config`` names, its decoder drawn from the global generator."""
    match config:
        case FeatureDistillation():
            return FeatureDistillationObjective(config, teacher)
        case SimMim():
            return SimMimObjective(config, student)
        case MaskedAutoencoder():
            return MaskedAutoencoderObjective(config, student)
    assert_never(config)


def parameter_groups(
    network: nn.Module, names: TrainableNames, objective: nn.Module, config: PretrainingOptimizerConfig
) -> list[dict[str, Any]]:
    """AdamW's groups, the low-rank changes first; within each part, matrices decay and vectors do not."""
    parameters = dict(network.named_parameters())
    parts = (
        ([parameters[name] for name in names.lora], config.lr_lora),
        ([parameters[name] for name in names.blocks], config.lr_blocks),
        ([parameters[name] for name in names.norms], config.lr_norms),
        ([*(parameters[name] for name in names.mask_token), *objective.parameters()], config.lr_objective),
    )
    groups = []
    for members, learning_rate in parts:
        matrices = [parameter for parameter in members if parameter.squeeze().ndim > 1]
        vectors = [parameter for parameter in members if parameter.squeeze().ndim <= 1]
        groups.append({"params": matrices, "lr": learning_rate, "weight_decay": config.weight_decay})
        groups.append({"params": vectors, "lr": learning_rate, "weight_decay": 0.0})
    return [group for group in groups if group["params"]]
