"""Small real values for tests: predictions whose truth is known."""

from __future__ import annotations

import numpy as np

from stage1_core.predictions import Float, Integer, Predictions, Scores, Text
from stage1_core.splits import Purpose


def make_scores(margins: Float, name: str = "row") -> Scores:
    """Scores with the given logits of P(roadwork); ids are ``name``/0, ``name``/1, ..."""
    ids = np.array([f"{name}/{i}" for i in range(len(margins))], dtype=np.str_)
    return Scores(ids, np.stack([-margins / 2, margins / 2], axis=1))


def predictions_of(
    margins: Float,
    labels: Integer,
    *,
    purpose: Purpose = Purpose.CERTIFY_UNCALIBRATED_POLICY,
    name: str = "row",
    groups: Text | None = None,
) -> Predictions:
    """Predictions from ``(n,)`` margins and labels. Without groups each row is its own."""
    scores = make_scores(np.asarray(margins, dtype=np.float64), name)
    groups = scores.ids if groups is None else groups
    sources = np.full(len(scores), name)
    return Predictions(purpose, scores, np.asarray(labels, dtype=np.int64), groups, sources)


def make_predictions(
    rng: np.random.Generator,
    n: int,
    *,
    purpose: Purpose = Purpose.CERTIFY_UNCALIBRATED_POLICY,
    name: str = "row",
    positive_fraction: float = 0.5,
    separation: float = 2.0,
) -> Predictions:
    """``n`` rows of a decent model: margins are 3 · N(± separation, 1)."""
    labels = (rng.random(n) < positive_fraction).astype(np.int64)
    margins = 3 * rng.normal(np.where(labels == 1, separation, -separation))
    return predictions_of(margins, labels, purpose=purpose, name=name)
