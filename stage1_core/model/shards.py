"""Features of a shard of pictures in any process that finds the pictures and the weights under the same paths."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from stage1_core.data.features import Float32
from stage1_core.data.transforms import EvalTransform
from stage1_core.errors import ModelError
from stage1_core.model.backbone import load_backbone
from stage1_core.model.backbone_config import BackboneConfig
from stage1_core.model.fusion import for_inference
from stage1_core.model.inference import BatchedForward
from stage1_core.model.lanes import Picture, default_lanes, in_lanes, one_thread_an_operation
from stage1_core.model.weights import backbone_digest

BATCHES_A_SHARD = 16
"""Enough that sending a shard costs little beside computing it, few enough that a lost one costs little."""


@dataclass(frozen=True, slots=True)
class ShardExtraction:
    """Features ``(n, hidden)`` of ``n`` pictures; shards are whole batches, so a process alone gives the same bits."""

    backbone: BackboneConfig
    backbone_digest: str
    """What the weights that a process finds must have."""
    transform: EvalTransform
    device: str
    batch_size: int

    def __call__(self, pictures: Sequence[Picture]) -> Float32:
        """Raises `DataError` for pictures that cannot be read or have changed, `ModelError` for other weights."""
        lanes = 1 if self.device == "cpu" else default_lanes()  # a CPU's cores each have a process of their own
        with one_thread_an_operation():
            forward = _loaded(self.backbone, self.backbone_digest, self.device, self.batch_size)
            return np.concatenate([values for _, values in in_lanes(pictures, self.transform, forward, lanes=lanes)])

    def shards(self, pictures: Sequence[Picture]) -> list[Sequence[Picture]]:
        """``pictures`` in order, cut into what is sent to a process at once."""
        size = BATCHES_A_SHARD * self.batch_size
        return [pictures[start : start + size] for start in range(0, len(pictures), size)]


@functools.lru_cache(maxsize=1)
def _loaded(config: BackboneConfig, digest: str, device: str, batch_size: int) -> BatchedForward:
    """The network, loaded once a process. A worker serves one extraction after the other, mostly of one backbone."""
    if backbone_digest(config) != digest:
        raise ModelError(
            f"a worker finds other weights of {config.model} than the process that asks; give all machines the same"
        )
    if torch.device(device).type == "cuda" and not torch.cuda.is_available():
        raise ModelError("a worker has no usable GPU, but the process that asks has; set STAGE1_DEVICE=cpu, or add one")
    return BatchedForward(for_inference(load_backbone(config, device=device)), batch_size)
