"""What an optimizer is: ``update.step(closure)``, where the closure adds the gradient of one step's micro-batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from torch import Tensor, nn

from stage1_core.errors import ModelError

Closure = Callable[[], Tensor]
"""Runs forward and backward once over the batch, adding to the gradients, and returns what it observed. An optimizer
may call it more than once in a step; it then clears the gradients in between."""


class Update(Protocol):
    """One way to change the weights."""

    def scale_learning_rates(self, factor: float) -> None:
        """Set every group's learning rate to its peak times ``factor``."""

    def learning_rate(self) -> float:
        """The head's current learning rate."""
        ...

    def step(self, closure: Closure) -> Tensor:
        """Change the weights once and clear the gradients; returns what the closure's first call returned."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything a continued training needs."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""


def trainable_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters that require a gradient, by name. Raises `ModelError` where there are none."""
    found = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if not found:
        raise ModelError("the model has no trainable parameter; set requires_grad on what shall be fitted")
    return found
