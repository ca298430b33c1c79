"""Pictures that can be guessed from a part of them, and a pretraining of seconds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from PIL import Image

from stage1_core.adaptation.config import (
    ExploraConfig,
    FeatureDistillation,
    MaskedAutoencoder,
    PretrainingOptimizerConfig,
    ProbeConfig,
    SimMim,
    TrainablePartConfig,
)
from stage1_core.adaptation.encoder import VisionTransformer
from stage1_core.adaptation.outcomes import ProbeResult
from stage1_core.adaptation.probe import LinearProbe
from stage1_core.adaptation.trainable import adapted
from stage1_core.data.loading import PicturesDataset
from stage1_core.data.transforms import ProcessorGeometry
from stage1_core.digests import digest_of_file
from stage1_core.splits import Purpose
from stage1_core.training.picture_rows import PictureRows
from stage1_core.training.schedule import WarmupCosineConfig, WarmupEpochs

SIDE_PX = 32
TRANSFORM = ProcessorGeometry(height_px=SIDE_PX, width_px=SIDE_PX)
OBJECTIVES = (
    FeatureDistillation(),
    SimMim(),
    MaskedAutoencoder(mask_fraction=0.5, decoder_blocks=1, decoder_hidden=32),
)
PIXELS = torch.rand(3, 3, SIDE_PX, SIDE_PX, generator=torch.Generator().manual_seed(1))


def drawn_pictures(folder, count=24):
    """Waves of any direction and phase, with a little noise; those of class 1 are shorter."""
    draw = np.random.default_rng(0)
    row, column = np.mgrid[0:SIDE_PX, 0:SIDE_PX] / SIDE_PX
    rows = []
    for number in range(count):
        label, angle = number % 2, draw.uniform(0, np.pi)
        wave = np.sin(2 * np.pi * (1 + label) * (row * np.cos(angle) + column * np.sin(angle)) + draw.uniform(0, 6))
        pixels = 128 + 90 * wave[..., None] + draw.normal(0, 8, (SIDE_PX, SIDE_PX, 3))
        path = folder / f"{number:02}.png"
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
        rows.append({"id": path.stem, "path": str(path), "sha256": digest_of_file(path), "label": label})
    return pd.DataFrame(rows)


def toy_config(**changes):
    """24 pictures make 3 steps of 8; the learning rates are those of a network that starts from nothing."""
    settings = {
        "trainable": TrainablePartConfig(rank=4, alpha=8),
        "optimizer": PretrainingOptimizerConfig(lr_lora=3e-3, lr_blocks=1e-3, lr_norms=1e-3, lr_objective=3e-3),
        "schedule": WarmupCosineConfig(warmup=WarmupEpochs(epochs=0), final_fraction=0.2),
        "batch_size": 8,
        "epochs": 3,
        "patience": None,
        "seed": 5,
    }
    return ExploraConfig(**(settings | changes))


def moved(backbone, config=None, *, spread=0.05):
    """An adapted copy whose trainable parameters are no longer what they were, as after training."""
    changed, names = adapted(backbone, config or TrainablePartConfig(rank=4, alpha=8))
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in changed.network.parameters():
            if parameter.requires_grad:
                parameter.add_(spread * torch.randn(parameter.shape, generator=generator))
    return changed, names


def tokens(backbone, pixels, masked=None):
    transformer = VisionTransformer.of(backbone)
    return transformer.tokens(transformer.normalised(pixels), masked)


def rows_of(pictures, purpose):
    labels = pictures["label"].to_numpy(dtype=np.int64)
    ids = pictures["id"].to_numpy(dtype=np.str_)
    return PictureRows(purpose, ids, labels, PicturesDataset(pictures, TRANSFORM))


def linear_probe(pictures, **changes):
    return LinearProbe(
        rows_of(pictures, Purpose.FIT_WEIGHTS), rows_of(pictures, Purpose.SELECT_MODEL), ProbeConfig(**changes)
    )


def told_probe(*areas):
    """A probe that answers with these AUGRC, one a call."""
    left = iter(areas)
    return lambda backbone: ProbeResult(augrc=next(left), accuracy=0.5)
