"""Teaches a small vision transformer of DINOv3's architecture what a larger network says of the same pictures."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import DINOv3ViTConfig, DINOv3ViTImageProcessor, DINOv3ViTModel

from stage1_core.adaptation.distillation_config import IMAGENET, DistillationConfig, StudentConfig
from stage1_core.adaptation.lessons import Lessons
from stage1_core.config import FrozenModel
from stage1_core.model.transformers_backbone import without_progress_bars
from stage1_core.training.rows import split_order
from stage1_core.training.schedule import TrainingLength
from stage1_core.training.seeding import epoch_order

_LIGHT, _TINT = 0.2, 0.1
"""Largest change of all channels together, and of each by itself, as a fraction."""
_EPOCHS_APART = 100_003
_WHITENING_PICTURES = 400
_WHITENING_FLOOR = 0.01
_MIDDLING, _LEAST_MIDDLING = 20, 1e-3


class DistilledEpoch(FrozenModel):
    """How far the student is from the teacher, by the mean over an epoch's steps; 1 is a student that knows nothing."""

    epoch: int
    """Counted from 1."""
    features: float
    """Mean squared error of the class token's reading of the teacher's features, in units of their variance."""
    answer: float
    """The same of the teacher's answer."""
    maps: float
    """The same of the patches' readings of the teacher's map."""
    evidence: float
    """The same of where the teacher sees road works."""
    seconds: float
    """Wall-clock time of the epoch."""


def untrained_student(config: StudentConfig, *, seed: int) -> DINOv3ViTModel:
    """The architecture with random weights, the same for the same seed, in evaluation mode."""
    settings = DINOv3ViTConfig(
        hidden_size=config.hidden,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        intermediate_size=4 * config.hidden,
        num_register_tokens=config.registers,
        patch_size=config.patch_px,
        image_size=config.input_px,
    )
    settings.licence = "apache-2.0"  # read by licence_notice, which would take the architecture for Meta's weights
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # transformers initialises from it
        student = DINOv3ViTModel(settings)
    student.train(False)
    return student


def distil(student: DINOv3ViTModel, lessons: Lessons, config: DistillationConfig) -> Iterator[DistilledEpoch]:
    """Train ``student`` in place, on the CPU, yielding after each epoch; the same seed gives the same weights.

    The student stays in evaluation mode: in training mode DINOv3 rescales its positions at random, from the global
    generator. Two linear readings, of the class token and of the patches, are dropped afterwards.
    """
    _whiten_patches(student, lessons, config.seed)
    readings = _Readings.of(student, lessons, config)
    optimizers = _optimizers(student, readings, config)
    parameters = [value for one in optimizers for group in one.param_groups for value in group["params"]]
    steps = -(-len(lessons) // config.batch_size)
    factor = config.schedule.factor(TrainingLength(config.epochs, steps, steps))
    for epoch in range(1, config.epochs + 1):
        began, errors = time.perf_counter(), []
        generator = torch.Generator().manual_seed(config.seed * _EPOCHS_APART + epoch)
        plan = split_order(epoch_order(config.seed, epoch, len(lessons)), config.batch_size, drop_last=False)
        for step, places in enumerate(plan, start=(epoch - 1) * steps):
            error = readings.errors(student, _varied(lessons, torch.from_numpy(places), generator))
            error.sum().backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(parameters, config.max_grad_norm)
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = config.learning_rate * factor(step)
                optimizer.step()
                optimizer.zero_grad()
            errors.append(error.detach())
        features, answer, maps, evidence = torch.stack(errors).mean(dim=0).tolist()
        seconds = time.perf_counter() - began
        yield DistilledEpoch(
            epoch=epoch, features=features, answer=answer, maps=maps, evidence=evidence, seconds=seconds
        )


def save_student(student: DINOv3ViTModel, config: StudentConfig, folder: Path) -> None:
    """Write a folder that `load_backbone` reads: config.json, processor, and weights as float16."""
    with without_progress_bars():
        student.half().save_pretrained(folder)  # type: ignore[no-untyped-call]
    student.float()  # type: ignore[no-untyped-call]
    processor = DINOv3ViTImageProcessor(
        size={"height": config.input_px, "width": config.input_px},
        image_mean=list(IMAGENET.mean),
        image_std=list(IMAGENET.std),
    )
    processor.save_pretrained(folder)


@dataclass(frozen=True, slots=True, eq=False)
class _Readings:
    """Linear layers that say what the teacher says, from the student's tokens."""

    of_picture: nn.Linear
    """From the class token: the teacher's answer, then its features."""
    of_patch: nn.Linear
    """From each patch: evidence, then components of the map."""
    first_patch: int
    """Tokens before the patches."""
    spread: Tensor
    """Variance of all components of the map together."""

    @staticmethod
    def of(student: DINOv3ViTModel, lessons: Lessons, config: DistillationConfig) -> _Readings:
        width = student.config.hidden_size
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(config.seed)  # layers are initialised from it
            of_picture = nn.Linear(width, lessons.features.shape[1] + 1)
            of_patch = nn.Linear(width, lessons.maps.shape[2] + 1)
        spread = lessons.maps[: config.basis_pictures].float().var()
        return _Readings(of_picture, of_patch, 1 + student.config.num_register_tokens, spread)

    def errors(self, student: DINOv3ViTModel, batch: Lessons) -> Tensor:
        """``(4,)`` mean squared errors of features, answer, map and evidence, each in units of its variance."""
        tokens = student(pixel_values=_normalised(batch.pixels)).last_hidden_state
        seen, there = self.of_picture(tokens[:, 0]), self.of_patch(tokens[:, self.first_patch :])
        return torch.stack(
            [
                F.mse_loss(seen[:, 1:], batch.features),
                F.mse_loss(seen[:, 0], batch.answer),
                F.mse_loss(there[..., 1:], batch.maps) / self.spread,
                F.mse_loss(there[..., 0], batch.evidence),
            ]
        )


def _optimizers(
    student: DINOv3ViTModel, readings: _Readings, config: DistillationConfig
) -> list[torch.optim.Optimizer]:
    """Muon (K. Jordan, 2024) for the blocks' matrices: with few steps it learns several times as fast as AdamW."""
    matrices = [value for name, value in student.named_parameters() if value.ndim == 2 and "layer" in name]
    known = {id(value) for value in matrices}
    rest = [value for value in student.parameters() if id(value) not in known]
    rest += [*readings.of_picture.parameters(), *readings.of_patch.parameters()]
    muon = torch.optim.Muon(
        matrices,
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        momentum=0.95,
        nesterov=True,
        adjust_lr_fn="match_rms_adamw",
    )
    adamw = torch.optim.AdamW(
        rest, lr=config.learning_rate, betas=(0.9, 0.98), weight_decay=config.weight_decay / 5, fused=True
    )
    return [muon, adamw]


@torch.no_grad()
def _whiten_patches(student: DINOv3ViTModel, lessons: Lessons, seed: int) -> None:
    """Let the patch embedding begin as whitened principal components of patches, turned at random.

    Random weights would mostly pass on a patch's mean colour; a cone is a few pixels in it.
    """
    projection = student.embeddings.patch_embeddings
    width, side = projection.out_channels, projection.kernel_size[0]
    places = torch.from_numpy(np.random.default_rng(seed).permutation(len(lessons))[:_WHITENING_PICTURES])
    columns = F.unfold(_normalised(lessons.pixels[places]), side, stride=side)
    patches = columns.mT.reshape(-1, columns.shape[1])
    mean = patches.mean(dim=0)
    variances, axes = torch.linalg.eigh((patches - mean).T @ (patches - mean) / len(patches))
    variances, axes = variances.flip(0)[:width], axes.flip(1)[:, :width]
    middling = variances[min(_MIDDLING, len(variances) - 1)]
    floor = _WHITENING_FLOOR * torch.maximum(middling, _LEAST_MIDDLING * variances[0])  # flat pictures have no middling
    turn = torch.linalg.qr(torch.randn(width, width, generator=torch.Generator().manual_seed(seed)))[0]
    weight = turn[:, : len(variances)] @ (axes / (variances + floor).sqrt()).T
    projection.weight.copy_(weight.view_as(projection.weight))
    assert projection.bias is not None, "DINOv3 embeds patches with a bias"
    projection.bias.copy_(-weight @ mean)


def _varied(lessons: Lessons, places: Tensor, generator: torch.Generator) -> Lessons:
    """The lessons at ``places``, half of them mirrored with their maps, under another light: pixels as floats."""
    n = len(places)
    mirrored = torch.rand(n, generator=generator) < 0.5
    pixels = lessons.pixels[places].float()
    side = round(lessons.evidence.shape[1] ** 0.5)
    maps = lessons.maps[places].float().view(n, side, side, -1)
    evidence = lessons.evidence[places].view(n, side, side)
    light = torch.empty(n, 1, 1, 1).uniform_(1 - _LIGHT, 1 + _LIGHT, generator=generator)
    tint = torch.empty(n, 1, 1, 3).uniform_(1 - _TINT, 1 + _TINT, generator=generator)
    return Lessons(
        pixels=(_mirror(pixels, mirrored) * light * tint).clamp_(0, 255),
        features=lessons.features[places],
        answer=lessons.answer[places],
        maps=_mirror(maps, mirrored).flatten(1, 2),
        evidence=_mirror(evidence, mirrored).flatten(1),
    )


def _mirror(values: Tensor, mirrored: Tensor) -> Tensor:
    """``(n, rows, columns, ...)`` with the columns of the ``(n,)`` mirrored ones turned round."""
    return torch.where(mirrored.view(-1, *[1] * (values.ndim - 1)), values.flip(2), values)


def _normalised(pixels: Tensor) -> Tensor:
    """``(n, h, w, 3)`` in 0 to 255 as the network takes them."""
    mean, std = torch.tensor(IMAGENET.mean), torch.tensor(IMAGENET.std)
    return ((pixels.float() / 255 - mean) / std).permute(0, 3, 1, 2)
