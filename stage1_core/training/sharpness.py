"""F-SAM: each step follows the gradient at a place near by where the batch's own part of the loss is higher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import torch
from accelerate import Accelerator
from pydantic import Field
from torch import Tensor, nn

from stage1_core.config import FrozenModel
from stage1_core.training.adamw import AdamWConfig, AdamWUpdate
from stage1_core.training.update import Closure, trainable_parameters


class FriendlySamUpdate:
    """Two passes over the same batch, and the base optimizer's step along the second gradient."""

    def __init__(
        self, optimizer: Any, base: AdamWUpdate, accelerator: Accelerator, unperturbed: Sequence[nn.Parameter]
    ) -> None:
        self._optimizer = optimizer
        self._base = base
        self._scaler = accelerator.scaler
        self._unperturbed = unperturbed

    def scale_learning_rates(self, factor: float) -> None:
        """Set every group's learning rate to its peak times ``factor``."""
        self._base.scale_learning_rates(factor)

    def learning_rate(self) -> float:
        """The learning rate of the first group, the head's."""
        return self._base.learning_rate()

    def step(self, closure: Closure) -> Tensor:
        """Two passes. With fp16 a step is skipped, the weights untouched, if either gradient overflowed."""
        observed = closure()
        if self._scaler is not None and not self._unscale(self._scaler.get_scale()):
            self._base.follow_gradients()  # leads nowhere: the scaler sees the overflow and lowers its scale
            return observed
        for parameter in self._unperturbed:
            parameter.grad = None
        self._optimizer.first_step(zero_grad=True)
        closure()
        self._optimizer.second_step()
        return observed

    def state_dict(self) -> dict[str, Any]:
        """The running mean of gradients, and the base optimizer's state."""
        state: dict[str, Any] = self._optimizer.state_dict()
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        self._optimizer.load_state_dict(dict(state))

    @torch.no_grad()
    def _unscale(self, scale: float) -> bool:
        """Divide the first gradient by the scaler's ``scale``; whether it is finite.

        By hand, because the running mean must not mix scales, and a scaler unscales once a step: the second gradient.
        """
        parameters = (parameter for group in self._base.param_groups for parameter in group["params"])
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        torch._foreach_div_(gradients, scale)
        return bool(torch.stack([gradient.isfinite().all() for gradient in gradients]).all())


class FriendlySamConfig(FrozenModel):
    """F-SAM (Li et al., arXiv 2403.12350), which looks for flat minima around another optimizer.

    With g the gradient of a step's rows at the weights w, and m the running mean of such gradients before this step:

        w' = w + ρ d / ‖d‖,   d = g - σ m,   m <- λ m + (1 - λ) g,   m = g and d = g at the first step

    and the base optimizer makes its step from w along the gradient at w' of the same rows, with the same dropout. Only
    that second gradient is clipped. A step costs two passes, and memory for two copies of the trained weights. Where
    several processes share a training, g and m are those of all rows together.
    """

    kind: Literal["friendly_sam"] = "friendly_sam"
    base: AdamWConfig = AdamWConfig()
    """What follows the gradient."""
    radius: Annotated[float, Field(ge=0, le=10)] = 0.05
    """ρ: Euclidean length of the way from w to w'; at 0 training is exactly that of `base`."""
    mean_removed: Annotated[float, Field(ge=0, le=1)] = 1.0
    """σ: share of the running mean that is taken out of the direction; 0 is SAM (arXiv 2010.01412)."""
    mean_decay: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """λ: share of the running mean that a step keeps."""
    unperturbed: tuple[Annotated[str, Field(min_length=1)], ...] = ("lora_magnitude_vector",)
    """Parts of names of parameters that stay where they are in w', but are trained: by default DoRA's magnitudes."""

    def build(self, model: nn.Module, accelerator: Accelerator, max_grad_norm: float) -> FriendlySamUpdate:
        """For all trainable parameters of ``model``; ``max_grad_norm`` clips the second gradient's global norm."""
        from pytorch_optimizer import FriendlySAM  # takes seconds to import

        base = self.base.build(model, accelerator, max_grad_norm)
        optimizer = FriendlySAM(
            base.param_groups,
            lambda _: _BaseOptimizer(base),  # type: ignore[arg-type] # it asks for a class, and only calls it
            rho=self.radius,
            sigma=self.mean_removed,
            lmbda=self.mean_decay,
        )
        named = trainable_parameters(model).items()
        left_out = [parameter for name, parameter in named if any(part in name for part in self.unperturbed)]
        return FriendlySamUpdate(optimizer, base, accelerator, left_out)


class _BaseOptimizer:
    """An `AdamWUpdate` as the library wants its base optimizer: it calls `step` when the weights are back in place."""

    def __init__(self, update: AdamWUpdate) -> None:
        self.step = update.follow_gradients
        self.state_dict = update.state_dict
        self.load_state_dict = update.load_state_dict
        self._update = update

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return self._update.param_groups
