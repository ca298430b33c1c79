"""Backbone and head as one model, and models turned into scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from stage1_core.errors import ModelError
from stage1_core.model.head import Head, HeadOutput
from stage1_core.predictions import Float, Scores, Text


class Classifier(nn.Module):
    """Pixels ``(n, 3, h, w)`` float32 in [0, 1] to `HeadOutput`.

    A backbone without trainable parameters stays in eval mode and outside autograd, whatever the head does.
    """

    def __init__(self, backbone: nn.Module, head: Head) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    @property
    def adapts_backbone(self) -> bool:
        """Whether any parameter of the backbone is trained."""
        return any(parameter.requires_grad for parameter in self.backbone.parameters())

    def train(self, mode: bool = True) -> Self:
        """Set training mode; a frozen backbone stays in eval mode."""
        super().train(mode)
        if not self.adapts_backbone:
            self.backbone.eval()
        return self

    def forward(self, pixels: Tensor) -> HeadOutput:
        """Class logits and what else the head gives."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.adapts_backbone):
            features = self.backbone(pixels)
        output: HeadOutput = self.head(features)
        return output


def to_scores(ids: Text, output: HeadOutput) -> Scores:
    """Logits as float64 numpy. Raises `Stage1Error` where they are not finite."""
    gate = None if output.gate_logits is None else _float64(output.gate_logits)
    auxiliary = None if output.aux_logits is None else _float64(output.aux_logits)
    return Scores(ids, _float64(output.class_logits), gate, auxiliary)


def predict(model: nn.Module, batches: Iterable[tuple[Text, Tensor]], *, device: torch.device | str) -> Scores:
    """Scores of ``batches`` of (ids, inputs), in their order, in float32 and eval mode.

    The model is moved to ``device``; its training mode is put back afterwards.
    """
    ids: list[Text] = []
    outputs: list[HeadOutput] = []
    model.to(device)
    with evaluating(model), torch.inference_mode():
        for names, inputs in batches:
            ids.append(names)
            outputs.append(model(inputs.to(device, non_blocking=True)))
    if not outputs:
        return Scores(np.array([], dtype=np.str_), np.empty((0, 2)))
    gates = [output.gate_logits for output in outputs if output.gate_logits is not None]
    auxiliary = [output.aux_logits for output in outputs if output.aux_logits is not None]
    joined = HeadOutput(
        torch.cat([output.class_logits for output in outputs]),
        torch.cat(gates) if gates else None,
        torch.cat(auxiliary) if auxiliary else None,
    )
    return to_scores(np.concatenate(ids), joined)


def predict_features(
    head: nn.Module,
    features: np.ndarray[Any, np.dtype[np.float32]],
    ids: Text,
    *,
    batch_size: int = 4096,
    device: torch.device | str = "cpu",
) -> Scores:
    """Scores of ``(n, in_features)`` features, which may be a memory map: only one batch is read at a time."""
    if len(features) != len(ids):
        raise ModelError(f"{len(features)} feature rows for {len(ids)} ids; pass one id for each row")

    def batches() -> Iterator[tuple[Text, Tensor]]:
        for start in range(0, len(ids), batch_size):
            rows = slice(start, start + batch_size)
            yield ids[rows], torch.from_numpy(np.array(features[rows], dtype=np.float32))

    return predict(head, batches(), device=device)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode inside the block, the previous mode after it."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def _float64(values: Tensor) -> Float:
    array: Float = values.detach().to("cpu", torch.float64).numpy()
    return array
