"""The small classifier on top of the backbone's features."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from stage1_core.config import FrozenModel
from stage1_core.errors import ModelError

CLASSES = 2
INITIAL_GATE_LOGIT = 1.5
"""A gate that has learned nothing lets 82 % through, whatever the picture: the classes see nearly all rows from the
first step on, and the gate is not saturated."""


class HeadConfig(FrozenModel):
    """Shape of the head: Linear(features, hidden), ReLU, Dropout, Linear(hidden, 2)."""

    hidden: Annotated[int, Field(ge=1, le=65536)] = 768
    """Width of the hidden layer."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3
    """Probability that a hidden unit is dropped while fitting."""
    gated: bool = False
    """Adds a gate Linear(hidden, 1), "the class decision is right", and auxiliary class logits Linear(hidden, 2)."""
    gate_reads: Literal["hidden", "hidden_and_margin"] = "hidden"
    """What a gate reads. A linear gate cannot form the confidence, |l₁ - l₀|, from the hidden layer; with the margin it
    begins with the softmax rule's ranking, times a learned factor, and learns what that misses."""


@dataclass(frozen=True, slots=True, eq=False)
class HeadOutput:
    """What a head says about ``n`` pictures. All heads return this one type."""

    class_logits: Tensor
    """``(n, 2)``; column 1 is "roadwork"."""
    gate_logits: Tensor | None = None
    """``(n,)`` logits of "the class decision is right"."""
    aux_logits: Tensor | None = None
    """``(n, 2)`` class logits of the auxiliary output."""

    def float(self) -> HeadOutput:
        """The same in float32: losses and metrics are not computed in half precision."""
        gate = None if self.gate_logits is None else self.gate_logits.float()
        auxiliary = None if self.aux_logits is None else self.aux_logits.float()
        return HeadOutput(self.class_logits.float(), gate, auxiliary)

    def gated(self) -> tuple[Tensor, Tensor]:
        """``(n,)`` gate logits and ``(n, 2)`` auxiliary logits. Raises `ModelError` where the head has none."""
        if self.gate_logits is None or self.aux_logits is None:
            raise ModelError("the head has no gate; set head.gated to true, or choose an objective without a gate")
        return self.gate_logits, self.aux_logits


class Head(nn.Module):
    """Features ``(n, in_features)`` float32 to `HeadOutput`.

    Initialised as PyTorch initialises linear layers, uniform in ±1/sqrt(fan in), but from ``generator`` alone: the
    global generator is neither read nor moved. The gate begins with weights of 0, a bias of `INITIAL_GATE_LOGIT` and,
    where it reads the margin, a factor of 1; its gradient does not reach the classes through the margin.
    """

    margin_factor: nn.Parameter | None

    def __init__(self, in_features: int, config: HeadConfig, *, generator: torch.Generator) -> None:
        super().__init__()
        self.config = config
        self.trunk = _linear(in_features, config.hidden, generator)
        self.dropout = nn.Dropout(config.dropout)
        self.classes = _linear(config.hidden, CLASSES, generator)
        self.gate = _gate(config.hidden) if config.gated else None
        reads_margin = config.gated and config.gate_reads == "hidden_and_margin"
        self.register_parameter("margin_factor", nn.Parameter(torch.ones(())) if reads_margin else None)
        self.auxiliary = _linear(config.hidden, CLASSES, generator) if config.gated else None

    @property
    def in_features(self) -> int:
        """Width of the features the head reads."""
        return self.trunk.in_features

    def forward(self, features: Tensor) -> HeadOutput:
        """Raises `ModelError` where the features are not ``(n, in_features)``."""
        if features.ndim != 2 or features.shape[1] != self.in_features:
            raise ModelError(
                f"the head reads features of shape (n, {self.in_features}), got {tuple(features.shape)}; "
                "use features of the backbone it was made for"
            )
        shared = self.dropout(torch.relu(self.trunk(features)))
        classes = self.classes(shared)
        gate = None if self.gate is None else self.gate(shared).squeeze(1)
        if gate is not None and self.margin_factor is not None:
            gate = gate + self.margin_factor * (classes[:, 1] - classes[:, 0]).abs().detach()
        auxiliary = None if self.auxiliary is None else self.auxiliary(shared)
        return HeadOutput(classes, gate, auxiliary)


def build_head(in_features: int, config: HeadConfig, *, seed: int) -> Head:
    """A fresh head whose weights are a function of ``seed`` alone."""
    return Head(in_features, config, generator=torch.Generator().manual_seed(seed))


def _linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    # made without storage first: the layer's own initialisation would draw from the global generator
    layer = nn.Linear(inputs, outputs, device="meta").to_empty(device="cpu")
    bound = 1 / math.sqrt(inputs)
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    return layer


def _gate(inputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, 1, device="meta").to_empty(device="cpu")
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.fill_(INITIAL_GATE_LOGIT)
    return layer
