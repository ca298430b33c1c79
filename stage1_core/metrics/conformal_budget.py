"""How many calibration positives a conformal threshold may miss, so that the expected risk stays below its ceiling."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

from stage1_core.errors import PolicyError


class SelectionRate(NamedTuple):
    """Positives that a selection threshold lets through, of all, with the margin of error that is put up with."""

    selected: int
    positives: int
    delta_s: float
    """Probability, over calibration sets, that the true rate lies below the bound at any threshold at all."""

    @property
    def lower_bound(self) -> float:
        """Lower bound on P(selected given y = 1) that may be read at every threshold at once; 0 without positives."""
        if self.positives == 0:
            return 0.0
        return max(0.0, self.selected / self.positives - dkw_margin(self.positives, self.delta_s))


def dkw_margin(n: int, delta_s: float) -> float:
    """sqrt(ln(2 / delta_s) / (2 n)): what no empirical distribution function of ``n`` >= 1 rows strays from its truth.

    Off an event of probability ``delta_s``, anywhere (Dvoretzky, Kiefer and Wolfowitz, 1956, with Massart's constant).
    """
    return math.sqrt(math.log(2 / delta_s) / (2 * n))


def crc_budget(selected: int, alpha: float) -> int | None:
    """floor(α (m + 1) - 1): how many of ``m`` selected calibration positives may be missed; None where not even zero.

    The picture to come is the (m + 1)-th and counts as missed (Conformal Risk Control, arXiv 2208.02814, theorem 1).
    At α = 0.02 the first budget, of no miss, takes 49. Raises `PolicyError` for an ``alpha`` outside (0, 1).
    """
    return _allowed(selected + 1, _exact(alpha))


def rows_needed(alpha: float) -> int:
    """ceil(1 / α) - 1: the fewest calibration positives of which some number may be missed, be it none; 49 at 2 %."""
    return math.ceil(1 / _exact(alpha)) - 1


def dkw_budget(positives: int, alpha: float, rate_lower_bound: float) -> int | None:
    """floor((n + 1) α ξ - 1) for ``n`` calibration positives, selected or not; None where not even zero.

    Conformal risk control of the product "selected and missed" at α ξ, where ξ bounds P(selected given y = 1) from
    below. Rounding up instead of down is a miss too many. Raises `PolicyError` for an ``alpha`` outside (0, 1).
    """
    return _allowed(positives + 1, _exact(alpha) * Fraction(rate_lower_bound))


def _allowed(rows: int, ceiling: Fraction) -> int | None:
    budget = math.floor(ceiling * rows - 1)
    return budget if budget >= 0 else None


def _exact(alpha: float) -> Fraction:
    """The decimal that was written: 0.29 · 100 is 28.999999999999996 in floats, and a miss would be lost."""
    if not 0 < alpha < 1:
        raise PolicyError(f"alpha is {alpha}; give the ceiling of the risk as a fraction between 0 and 1, e.g. 0.02")
    return Fraction(str(alpha))
