"""Gradient checkpointing: the libraries' own, which transformers ties to the training mode of its blocks."""

from __future__ import annotations

from typing import Any

from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from stage1_core.errors import ModelError


def checkpoint_gradients(network: Any) -> None:
    """Keep only the inputs of each block for the backward pass. Raises `ModelError` for networks that cannot."""
    try:
        if isinstance(network, PreTrainedModel):
            network.activation_checkpointing_enable()
        else:
            network.set_grad_checkpointing(True)
    except (ValueError, AssertionError, AttributeError) as error:
        raise ModelError(f"{type(network).__name__} has no gradient checkpointing; set it to false") from error


def keep_activations(network: Any) -> None:
    """Undo `checkpoint_gradients`."""
    if isinstance(network, PreTrainedModel):
        network.activation_checkpointing_disable()  # type: ignore[no-untyped-call]  # transformers'
    else:
        network.set_grad_checkpointing(False)


def follow_mode(network: nn.Module, training: bool) -> None:
    """Let blocks of transformers know the mode, and nothing inside them: they checkpoint only while training."""
    for module in network.modules():
        if isinstance(module, GradientCheckpointingLayer):
            module.training = training
