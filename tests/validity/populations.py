"""Populations with known truth: every calibration set is drawn from one, and every certificate is judged on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stage1_core.predictions import Float, Integer, Predictions
from stage1_core.splits import Purpose
from tests.policy.gated import gated_of
from tests.toys import predictions_of

Margins = Callable[[np.random.Generator, Integer], Float]
"""Draws one margin for each true class."""


def separated(distance: float) -> Margins:
    """Margins N(± distance, 1): the risk falls with the threshold."""
    return lambda rng, truth: rng.normal(np.where(truth == 1, distance, -distance))


def with_confident_misses(distance: float, fraction: float) -> Margins:
    """Separated, but this fraction of the positives looks like the clearest of negatives: stricter can be worse."""

    def draw(rng: np.random.Generator, truth: Integer) -> Float:
        blind = (truth == 1) & (rng.random(len(truth)) < fraction)
        return np.where(blind, rng.normal(-distance - 1, 0.3, len(truth)), separated(distance)(rng, truth))

    return draw


@dataclass(frozen=True)
class Population:
    """Groups of ``group_size`` rows that share their class and most of their margin; rows are alone at size 1."""

    margins: Margins
    label_noise: float = 0.0
    group_size: int = 1
    spread_in_group: float = 0.0

    def arrays(self, rng: np.random.Generator, groups: int) -> tuple[Float, Integer]:
        """``(groups · group_size,)`` margins and labels, one half of the groups positive."""
        truth = np.arange(groups) % 2
        margins = np.repeat(self.margins(rng, truth), self.group_size)
        margins = margins + self.spread_in_group * rng.normal(size=len(margins))
        flipped = rng.random(len(margins)) < self.label_noise
        return margins, np.where(flipped, 1 - np.repeat(truth, self.group_size), np.repeat(truth, self.group_size))

    def draw(self, rng: np.random.Generator, groups: int, purpose: Purpose) -> Predictions:
        """One set of rows."""
        margins, labels = self.arrays(rng, groups)
        names = np.char.add(f"{purpose} ", np.repeat(np.arange(groups), self.group_size).astype(np.str_))
        return predictions_of(margins, labels, purpose=purpose, name=purpose.value, groups=names)


@dataclass(frozen=True)
class GatedPopulation:
    """Independent rows, one half positive, whose gate logits are N(1.2, 1) where the class decision is right and
    N(-1, 1) where it is not: the risk falls with the threshold."""

    failure: float = 0.07
    """P(the class decision is wrong)."""
    confident_misses: float = 0.0
    """Fraction of the positives that are called 0 with the gate wide open: stricter can be worse."""
    label_noise: float = 0.0

    def arrays(self, rng: np.random.Generator, rows: int) -> tuple[Float, Float, Integer]:
        """``(rows,)`` margins, gate logits and labels."""
        truth = np.arange(rows) % 2
        blind = (truth == 1) & (rng.random(rows) < self.confident_misses)
        wrong = blind | (rng.random(rows) < self.failure)
        gates = np.where(blind, rng.normal(4, 0.3, rows), rng.normal(np.where(wrong, -1.0, 1.2)))
        margins = np.where((truth == 1) != wrong, 1.0, -1.0)
        return margins, gates, np.where(rng.random(rows) < self.label_noise, 1 - truth, truth)

    def draw(self, rng: np.random.Generator, rows: int, purpose: Purpose) -> Predictions:
        """One set of rows."""
        margins, gates, labels = self.arrays(rng, rows)
        return gated_of(margins, labels, gates, purpose)

    def truth(self, rng: np.random.Generator, rows: int = 2_000_000) -> Truth:
        """Risk and coverage of every threshold on the gate logit."""
        margins, gates, labels = self.arrays(rng, rows)
        positive = labels == 1
        return Truth(np.sort(gates), np.sort(gates[positive]), np.sort(gates[positive & (margins < 0)]))


@dataclass(frozen=True)
class Truth:
    """Risk and coverage of every threshold on a margin or gate, from so many rows that they count as known."""

    exited: Float
    positives: Float
    misses: Float

    @staticmethod
    def of(population: Population, rng: np.random.Generator, groups: int = 2_000_000) -> Truth:
        """Sorted absolute margins of all rows, of the positives and of the misses."""
        margins, labels = population.arrays(rng, groups // population.group_size)
        size = np.abs(margins)
        return Truth(np.sort(size), np.sort(size[labels == 1]), np.sort(size[(labels == 1) & (margins < 0)]))

    def fnr(self, margin: float) -> float:
        """P(called 0 given exited and y = 1) when margins of at least ``margin`` exit."""
        return _at_least(self.misses, margin) / _at_least(self.positives, margin)

    def coverage(self, margin: float) -> float:
        """P(exited)."""
        return _at_least(self.exited, margin) / len(self.exited)


def _at_least(ascending: Float, margin: float) -> int:
    return len(ascending) - int(np.searchsorted(ascending, margin, side="left"))
