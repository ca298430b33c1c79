"""The state of a training between two epochs: all that an exact continuation needs, and nothing that is a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from stage1_core.errors import CheckpointError
from stage1_core.training.seeding import RandomState
from stage1_core.training.selection import Best, Progress, SelectionMetric


@dataclass(frozen=True, slots=True, eq=False)
class TrainingState:
    """After ``epoch`` epochs. All tensors are copies on the CPU."""

    epoch: int
    updates: int
    """Optimizer steps made: where the schedule stands."""
    batch_size: int
    """Rows of a micro-batch, as probed: a continued training does not probe again."""
    weights: dict[str, Tensor]
    """Trainable parameters as the optimizer left them, by name."""
    averages: dict[str, Tensor]
    """Their running average: the weights that are validated and released."""
    average_updates: int
    gradients: dict[str, Tensor]
    """Gradients not yet stepped, which only the historical accumulation leaves behind."""
    optimizer: dict[str, Any]
    scaler: dict[str, Any]
    """Of fp16; empty otherwise."""
    objective: dict[str, Tensor]
    random: RandomState
    progress: Progress
    best_accuracy: float | None
    """Highest accuracy so far, as a fraction, whatever metric selects."""

    @property
    def kept(self) -> Mapping[SelectionMetric, Best]:
        """Best epochs by the deciding metric and by each of ``keep_also``; `load_best` writes one into a model."""
        return self.progress.best


def load_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Write ``weights`` into the trainable parameters of ``model``.

    Raises `CheckpointError` where names or shapes differ: nothing is loaded in part.
    """
    parameters = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    differing = sorted(parameters.keys() ^ weights.keys())
    if differing:
        raise CheckpointError(f"weights and model differ in {', '.join(differing[:5])}; use their own configuration")
    for name, parameter in parameters.items():
        if parameter.shape != weights[name].shape:
            raise CheckpointError(
                f"{name} has shape {tuple(weights[name].shape)} in the weights and {tuple(parameter.shape)} in the "
                "model; use the configuration and the backbone they are of"
            )
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(weights[name])


def load_best(model: nn.Module, state: TrainingState, metric: SelectionMetric) -> None:
    """Write the weights of the best epoch by ``metric`` into ``model``. Raises `CheckpointError` if it was not kept."""
    if metric not in state.progress.best:
        kept = ", ".join(state.progress.best)
        raise CheckpointError(f"no best epoch by {metric} was kept, only by {kept}; add it to selection.keep_also")
    load_weights(model, state.progress.best[metric].weights)
