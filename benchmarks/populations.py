"""Simulated populations for the study of certificates: scores with labels, drawn as often as one likes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from stage1_core.predictions import Boolean, Float, Integer, Predictions, Scores
from stage1_core.splits import Purpose

Drawn = tuple[Float, Float | None]
"""Margins in logits, and gate logits where there is a gate."""


@dataclass(frozen=True)
class Population:
    """Independent rows."""

    scores: Callable[[np.random.Generator, Integer], Drawn]
    """Draws scores for each true class."""
    prevalence: float = 0.5
    """P(y = 1)."""

    def draw(self, rng: np.random.Generator, rows: int, purpose: Purpose) -> Predictions:
        """One set of rows."""
        labels = (rng.random(rows) < self.prevalence).astype(np.int64)
        margins, gate = self.scores(rng, labels)
        ids = np.char.add(f"{purpose} ", np.arange(rows).astype(np.str_))
        return Predictions(purpose, Scores(ids, np.stack([-margins / 2, margins / 2], 1), gate), labels, ids, ids)


def separated(distance: float, *, sharpness: float = 1.0, gate: Callable[..., Float] | None = None) -> Population:
    """Log-odds of two normal classes at ± ``distance``, times ``sharpness``: above 1 the model is overconfident."""

    def scores(rng: np.random.Generator, labels: Integer) -> Drawn:
        x = _normal_classes(rng, labels, distance)
        drawn = None if gate is None else gate(rng, x, (x >= 0) == (labels == 1))
        return 2 * distance * sharpness * x, drawn

    return Population(scores)


def confident_misses(distance: float, share: float, *, gate_sees_them: bool = False) -> Population:
    """This share of the positives looks like the clearest of negatives: stricter can be worse."""

    def scores(rng: np.random.Generator, labels: Integer) -> Drawn:
        blind = (labels == 1) & (rng.random(len(labels)) < share)
        x = np.where(blind, rng.normal(-distance - 1, 0.3, len(labels)), _normal_classes(rng, labels, distance))
        gate = np.where(blind, rng.normal(-2, 0.7, len(labels)), rng.normal(1, 1, len(labels)))
        return 2 * distance * x, gate if gate_sees_them else None

    return Population(scores)


def stepped(below: float, above: float, edge: float) -> Population:
    """The risk of a row is ``above`` where its margin exceeds ``edge`` standard deviations, ``below`` elsewhere."""

    def scores(rng: np.random.Generator, labels: Integer) -> Drawn:
        size = np.abs(rng.normal(2.2, 1, len(labels)))
        wrong = rng.random(len(labels)) < np.where(size > edge, above, below)
        return 4 * size * np.where((labels == 1) != wrong, 1, -1), None

    return Population(scores)


def any_population(draw: np.random.Generator) -> Population:
    """One that ``draw`` makes up: any of the traits above, and heavy tails and wrong labels besides."""
    distance = draw.uniform(1.1, 2.3)
    tails = float(draw.choice([3.0, 6.0, np.inf]))
    sharpness = np.exp(draw.uniform(-1, 2))
    shift = draw.normal(0, 0.7)
    blind_share, wrong_labels = draw.choice([0.0, 0.0, 0.004, 0.01, 0.02]), draw.choice([0.0, 0.0, 0.002, 0.01])
    gate: Callable[..., Float] | None = draw.choice(np.array([None, complementary, echoing, useless]))
    knows_blind = draw.random() < 0.5

    def scores(rng: np.random.Generator, labels: Integer) -> Drawn:
        n = len(labels)
        noise = rng.normal(size=n) if np.isinf(tails) else rng.standard_t(tails, n) * np.sqrt((tails - 2) / tails)
        seen = np.where(rng.random(n) < wrong_labels, 1 - labels, labels)
        blind = (seen == 1) & (rng.random(n) < blind_share)
        x = np.where(blind, -distance - 1 - 0.3 * np.abs(noise), np.where(seen == 1, distance, -distance) + noise)
        margins = sharpness * (2 * distance * x + shift)
        if gate is None:
            return margins, None
        right = (margins >= 0) == (labels == 1)
        return margins, gate(rng, x, right | (blind & (not knows_blind)))

    return Population(scores, prevalence=draw.uniform(0.08, 0.6))


def complementary(rng: np.random.Generator, x: Float, right: Boolean) -> Float:
    """A gate that knows something else than the margin."""
    return rng.normal(np.where(right, 1.0, -1.0))


def echoing(rng: np.random.Generator, x: Float, right: Boolean) -> Float:
    """A gate that repeats the margin, with noise."""
    return np.abs(x) + 0.5 * rng.normal(size=len(x))


def useless(rng: np.random.Generator, x: Float, right: Boolean) -> Float:
    """A gate that knows nothing."""
    return rng.normal(size=len(x))


def _normal_classes(rng: np.random.Generator, labels: Integer, distance: float) -> Float:
    return rng.normal(np.where(labels == 1, distance, -distance))


WITHOUT_GATE: Mapping[str, Population] = MappingProxyType(
    {
        "easy": separated(1.5),
        "overconfident": separated(1.5, sharpness=6.0),
        "10 % positives": Population(separated(1.5).scores, prevalence=0.10),
        "3 % positives": Population(separated(1.8).scores, prevalence=0.03),
        "nulls just above 2 %": stepped(0.023, 0.023, 0),
        "good above an edge": stepped(0.034, 0.008, 2),
        "non-monotone": confident_misses(1.8, 0.008),
        "all good": separated(2.4),
    }
)
"""What a threshold on the confidence meets."""

WITH_GATE: Mapping[str, Population] = MappingProxyType(
    {
        "complementary gate": separated(1.2, gate=complementary),
        "strong gate, weak classes": separated(
            1.0, gate=lambda rng, x, right: 1.5 * complementary(rng, x / 1.5, right)
        ),
        "echoing gate": separated(1.5, gate=echoing),
        "useless gate": separated(1.5, gate=useless),
        "gate sees confident misses": confident_misses(1.6, 0.02, gate_sees_them=True),
    }
)
"""What a pair of thresholds meets."""
