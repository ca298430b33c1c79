"""Small real problems for the training tests."""

from __future__ import annotations

import numpy as np
import torch

from stage1_core.model.classifier import Classifier
from stage1_core.model.head import HeadConfig, build_head
from stage1_core.splits import Purpose
from stage1_core.training.averaging import WarmupAverageConfig
from stage1_core.training.batching import BatchConfig
from stage1_core.training.config import TrainingConfig
from stage1_core.training.optimizer import AdamWConfig
from stage1_core.training.rows import FeatureRows
from stage1_core.training.selection import SelectionConfig

FEATURES = 12


def feature_rows(purpose=Purpose.FIT_WEIGHTS, *, rows=75, seed=0, signal=0.8):
    """Two Gaussian classes, every third row of class 1."""
    draw = np.random.default_rng([seed, rows])
    labels = (np.arange(rows) % 3 == 0).astype(np.int64)
    values = draw.normal(size=(rows, FEATURES)).astype(np.float32)
    values[:, :4] += np.float32(signal) * (2 * labels[:, None] - 1)
    ids = np.array([f"{purpose}/{index}" for index in range(rows)])
    return FeatureRows.of(purpose, ids, values, labels)


def select_rows(rows=40, **options):
    return feature_rows(Purpose.SELECT_MODEL, rows=rows, seed=1, **options)


def tiny_head(seed=0, **options):
    return build_head(FEATURES, HeadConfig(hidden=16, **options), seed=seed)


def classifier(*, trained_layers):
    """A backbone of two layers, of which some are trained, with a head."""
    backbone = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Linear(6, 12))
    backbone.requires_grad_(False)
    for index in trained_layers:
        backbone[index].requires_grad_(True)
    return Classifier(backbone, tiny_head())


def quadratic(model, *, scaler=None, overflow_in=None):
    """A closure over the squared length of the trained weights; call number ``overflow_in`` yields an inf."""
    calls = []

    def closure():
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        loss = sum((parameter**2).sum() for parameter in trained) * 1e-3
        (loss if scaler is None else scaler.scale(loss)).backward()
        calls.append(loss)
        if len(calls) == overflow_in:
            trained[0].grad[0] = torch.inf
        return loss.detach()

    return closure


def training(**changes):
    """A training of seconds: 75 rows make 10 micro-batches of 8 (the last of 3) and 5 steps."""
    settings = {
        "optimizer": AdamWConfig(lr_head=3e-3),
        "average": WarmupAverageConfig(),
        "batch": BatchConfig(sizes=(8,)),
        "selection": SelectionConfig(patience=None),
        "epochs": 4,
        "precision": "fp32",
        "seed": 5,
    }
    return TrainingConfig(**(settings | changes))
