"""What a convolutional teacher has to say about pictures: features, a map of them, and where it sees road works."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from stage1_core.adaptation.distillation_config import DistillationConfig, StudentConfig
from stage1_core.data.pictures import open_picture
from stage1_core.data.transforms import ProcessorGeometry
from stage1_core.errors import ModelError
from stage1_core.model.backbone import Backbone, load_backbone
from stage1_core.model.backbone_config import TimmBackboneConfig
from stage1_core.model.fusion import for_inference
from stage1_core.predictions import Integer

TEACHER_STRIDE = 32
"""Pixels of the teacher's input for one position of its map, as in all of timm's usual CNNs."""
_BATCH = 4
_PROBE_STRENGTH = 0.003
_LEAST_SCALE = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Lessons:
    """Pictures and what the teacher says of them. Every target has mean 0 and, but for the map, variance 1."""

    pixels: Tensor
    """``(n, side, side, 3)`` uint8, as the student sees them."""
    features: Tensor
    """``(n, hidden)``: the teacher's features, each standardised."""
    answer: Tensor
    """``(n,)``: log odds of road works by a logistic regression on the teacher's features, standardised."""
    maps: Tensor
    """``(n, patches, components)`` float16: principal components of the teacher's map, each divided by the fourth root
    of its variance, so that the large ones count more, but not as much more as they are larger."""
    evidence: Tensor
    """``(n, patches)``: what each position of the map adds to the answer, standardised."""

    def __len__(self) -> int:
        return len(self.pixels)


def draw_up_lessons(
    paths: Sequence[Path],
    labels: Integer,
    teacher: TimmBackboneConfig,
    student: StudentConfig,
    config: DistillationConfig,
    *,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Lessons:
    """Show all pictures to the teacher, so large that its map has one position for each of the student's patches.

    The ``(n,)`` labels decide in which direction of the teacher's features road works lie, and nothing else.
    Takes some 35 kB a picture. Raises `DataError` for unreadable pictures, `ModelError` where the teacher has no map of
    the student's patches.
    """
    order = np.random.default_rng(config.seed).permutation(len(paths))
    shown = _shown(paths, order, for_inference(load_backbone(teacher, device="cpu")), student)
    pixels = torch.empty(len(paths), student.input_px, student.input_px, 3, dtype=torch.uint8)
    pooled, maps, waiting = [], [], []
    basis: _Basis | None = None
    for at, (small, of_batch) in enumerate(shown):
        done = min(len(paths), (at + 1) * _BATCH)
        pixels[torch.from_numpy(order[at * _BATCH : done])] = small
        pooled.append(of_batch.mean(dim=1))
        waiting.append(of_batch)
        if basis is None and (done >= config.basis_pictures or done == len(paths)):
            basis = _Basis.of(torch.cat(waiting), config.map_components)
        if basis is not None:
            maps += [basis.components(one) for one in waiting]
            waiting.clear()
        on_progress(done, len(paths))
    assert basis is not None, "there is at least one picture"
    back = torch.from_numpy(np.argsort(order))
    return _lessons(pixels, torch.cat(pooled)[back], torch.cat(maps)[back], basis, labels)


@dataclass(frozen=True, slots=True, eq=False)
class _Basis:
    """Principal components of standardised map channels."""

    mean: Tensor
    scale: Tensor
    axes: Tensor
    root: Tensor
    """Fourth root of the components' variances."""

    @staticmethod
    def of(maps: Tensor, components: int) -> _Basis:
        rows = maps.flatten(0, 1)
        mean, scale = rows.mean(dim=0), rows.std(dim=0).clamp_min(_LEAST_SCALE)
        standard = (rows - mean) / scale
        variances, axes = torch.linalg.eigh(standard.T @ standard / len(standard))
        largest = variances.flip(0)[:components].clamp_min(_LEAST_SCALE)
        return _Basis(mean, scale, axes.flip(1)[:, :components], largest.sqrt().sqrt())

    def components(self, maps: Tensor) -> Tensor:
        return (((maps - self.mean) / self.scale) @ self.axes / self.root).half()

    def along(self, direction: Tensor) -> Tensor:
        """What to multiply components with, to have the part of the map that lies in ``direction`` of raw channels."""
        return self.root * (self.axes.T @ (direction * self.scale))


def _shown(paths: Sequence[Path], order: Integer, teacher: Backbone, student: StudentConfig) -> Any:
    """Batches of (the student's pixels, the teacher's map as ``(n, patches, channels)``), in ``order``."""
    side = student.patches_a_side
    large = ProcessorGeometry(height_px=side * TEACHER_STRIDE, width_px=side * TEACHER_STRIDE)
    small = ProcessorGeometry(height_px=student.input_px, width_px=student.input_px)
    for start in range(0, len(order), _BATCH):
        images = [open_picture(paths[place]) for place in order[start : start + _BATCH]]
        with torch.inference_mode():
            pixels = torch.stack([large.apply(image) for image in images]).to(memory_format=torch.channels_last)
            found: Tensor = teacher.network.forward_features((pixels - teacher.mean) / teacher.std)  # type: ignore[operator]
        if found.ndim != 4 or found.shape[2:] != (side, side):
            raise ModelError(
                f"{teacher.config.model} makes {tuple(found.shape)} of {tuple(pixels.shape)}, not a map of {side} x "
                f"{side}; take a CNN with a stride of {TEACHER_STRIDE} for a teacher"
            )
        yield torch.from_numpy(np.stack([small.pixels(image) for image in images])), found.flatten(2).mT.float()


def _lessons(pixels: Tensor, pooled: Tensor, maps: Tensor, basis: _Basis, labels: Integer) -> Lessons:
    scale = pooled.std(dim=0).clamp_min(_LEAST_SCALE)
    features = (pooled - pooled.mean(dim=0)) / scale
    probe = LogisticRegression(C=_PROBE_STRENGTH, max_iter=500).fit(features.numpy(), labels)
    direction = torch.from_numpy(probe.coef_[0]).float()
    along = basis.along(direction / scale)
    evidence = torch.cat([part.float() @ along for part in torch.split(maps, 256)])
    return Lessons(
        pixels=pixels,
        features=features,
        answer=_standardised(features @ direction),
        maps=maps,
        evidence=_standardised(evidence),
    )


def _standardised(values: Tensor) -> Tensor:
    return (values - values.mean()) / values.std().clamp_min(_LEAST_SCALE)
