"""AdamW with clipped gradients, and with the gradient scaler where fp16 has one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from accelerate import Accelerator
from pydantic import Field
from torch import Tensor, nn

from stage1_core.config import FrozenModel
from stage1_core.training.update import Closure, trainable_parameters

LearningRate = Annotated[float, Field(gt=0, le=10)]


class AdamWUpdate:
    """One pass, and a step along its gradient. Other updates may find the gradient and leave the step to this one."""

    def __init__(self, optimizer: torch.optim.Optimizer, accelerator: Accelerator, max_grad_norm: float) -> None:
        self._peaks = [float(group["lr"]) for group in optimizer.param_groups]
        self._optimizer = optimizer
        self._scaler = accelerator.scaler
        self._max_grad_norm = max_grad_norm
        self._parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """PyTorch's groups of parameters, the head's first."""
        return self._optimizer.param_groups

    def scale_learning_rates(self, factor: float) -> None:
        """Set every group's learning rate to its peak times ``factor``."""
        for group, peak in zip(self.param_groups, self._peaks, strict=True):
            group["lr"] = peak * factor

    def learning_rate(self) -> float:
        """The learning rate of the first group, the head's."""
        return float(self.param_groups[0]["lr"])

    def step(self, closure: Closure) -> Tensor:
        """One pass. With fp16 a step whose gradients overflowed is skipped by the scaler."""
        observed = closure()
        self.follow_gradients()
        return observed

    def follow_gradients(self) -> None:
        """Unscale, clip, step and clear; with fp16 a step is skipped whose gradients are not finite."""
        if self._scaler is not None:
            self._scaler.unscale_(self._optimizer)
        torch.nn.utils.clip_grad_norm_(self._parameters, self._max_grad_norm)
        if self._scaler is None:
            self._optimizer.step()
        else:
            self._scaler.step(self._optimizer)
            self._scaler.update()
        self._optimizer.zero_grad()

    def state_dict(self) -> dict[str, Any]:
        """AdamW's moments and groups."""
        return self._optimizer.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        self._optimizer.load_state_dict(dict(state))


class AdamWConfig(FrozenModel):
    """AdamW (Loshchilov and Hutter, arXiv 1711.05101) with one learning rate for the head and one for the backbone."""

    kind: Literal["adamw"] = "adamw"
    lr_head: LearningRate = 1e-4
    """Peak learning rate of the head."""
    lr_backbone: LearningRate = 1e-5
    """Peak learning rate of trained parameters of the backbone, adapters included; unused where it is frozen."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Decoupled decay, multiplied with the learning rate at each step. Magnitudes and τ of adapters do not decay."""
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Decay of the mean of gradients."""
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Decay of the mean of squared gradients."""
    eps: Annotated[float, Field(gt=0, le=1)] = 1e-8
    """Added to the root of the mean of squared gradients."""

    def build(self, model: nn.Module, accelerator: Accelerator, max_grad_norm: float) -> AdamWUpdate:
        """For all trainable parameters of ``model``, with the gradient's global norm clipped to ``max_grad_norm``."""
        groups = parameter_groups(model, lr_head=self.lr_head, lr_backbone=self.lr_backbone)
        optimizer = torch.optim.AdamW(
            groups,
            lr=self.lr_head,
            betas=(self.beta1, self.beta2),
            eps=self.eps,
            weight_decay=self.weight_decay,
            fused=True,
        )
        return AdamWUpdate(optimizer, accelerator, max_grad_norm)


def parameter_groups(model: nn.Module, *, lr_head: float, lr_backbone: float) -> list[dict[str, Any]]:
    """The head's parameters first, then trained parameters whose name begins with "backbone.".

    Magnitudes and τ of adapters come last and do not decay: they begin at norms of weights, not at 0, and τ, which is
    kept as the inverse of softplus, would grow.
    """
    named = trainable_parameters(model)
    scales = [parameter for name, parameter in named.items() if _is_scale(name)]
    backbone = [value for name, value in named.items() if name.startswith("backbone.") and not _is_scale(name)]
    head = [parameter for name, parameter in named.items() if not name.startswith("backbone.")]
    groups: list[dict[str, Any]] = [
        {"params": head, "lr": lr_head},
        {"params": backbone, "lr": lr_backbone},
        {"params": scales, "lr": lr_backbone, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _is_scale(name: str) -> bool:
    return name.startswith("backbone.") and ".lora_magnitude_vector." in name
