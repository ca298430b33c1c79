"""Rows with a gate that knows something: its logits rise where the class decision is right."""

from __future__ import annotations

import numpy as np

from stage1_core.predictions import Float, Integer, Predictions, Scores
from stage1_core.splits import Purpose

CALIBRATE = Purpose.FIT_CALIBRATOR
ORDER = Purpose.SELECT_MODEL
CERTIFY = Purpose.CERTIFY_POLICY


def gated_of(
    margins: Float,
    labels: Integer,
    gates: Float | None,
    purpose: Purpose,
    *,
    auxiliary: Float | None = None,
    name: str | None = None,
) -> Predictions:
    """Predictions of ``(n,)`` margins, labels, gate logits and margins of stage B; each row is its own group."""
    ids = np.array([f"{name or purpose}/{i}" for i in range(len(margins))], dtype=np.str_)
    logits = np.stack([-margins / 2, margins / 2], axis=1)
    aux_logits = None if auxiliary is None else np.stack([-auxiliary / 2, auxiliary / 2], axis=1)
    return Predictions(purpose, Scores(ids, logits, gates, aux_logits), labels, ids, np.full(len(ids), "toy"))


def gated_rows(
    rng: np.random.Generator,
    n: int,
    purpose: Purpose,
    *,
    positive_fraction: float = 0.5,
    failure_fraction: float = 0.1,
    name: str | None = None,
) -> Predictions:
    """``n`` rows whose gate logits are N(2, 1.2) where the class decision is right and N(-1, 1.2) where it is not."""
    labels = (rng.random(n) < positive_fraction).astype(np.int64)
    right = rng.random(n) >= failure_fraction
    margins = np.where((labels == 1) == right, 1.0, -1.0) * rng.uniform(0.1, 6, n)
    gates = rng.normal(np.where(right, 2.0, -1.0), 1.2)
    auxiliary = rng.normal(np.where(labels == 1, 2.0, -2.0), 1.5)
    return gated_of(margins, labels, gates, purpose, auxiliary=auxiliary, name=name)


def paired_rows(rng: np.random.Generator, n: int, purpose: Purpose, *, name: str | None = None) -> Predictions:
    """``n`` rows whose margins and gates each know something that the other does not.

    Margins are 3 · N(± 1.3, 1); gate logits are N(2, 1.2) where their sign is right and N(-1, 1.2) where it is not.
    """
    labels = (rng.random(n) < 0.5).astype(np.int64)
    margins = 3 * rng.normal(np.where(labels == 1, 1.3, -1.3))
    gates = rng.normal(np.where((margins >= 0) == (labels == 1), 2.0, -1.0), 1.2)
    return gated_of(margins, labels, gates, purpose, name=name)
