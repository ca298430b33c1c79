"""Bootstrap intervals of many statistics at once: whole clusters are drawn, the size of every stratum is kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from stage1_core.config import FrozenModel
from stage1_core.errors import Stage1Error
from stage1_core.metrics.bca import acceleration, bca_shares
from stage1_core.metrics.joint_evaluation import evaluation_of, reading_order
from stage1_core.metrics.resampling_weights import Clusters
from stage1_core.metrics.statistics import Statistic
from stage1_core.predictions import Float, Integer, Text

Method = Literal["bca", "percentile"]

WEIGHTS_AT_ONCE = 1 << 21
"""Resamples times rows of one step: what is held in memory is a few dozen bytes for each."""
JACKKNIFE_BLOCKS = 64
"""Their noise moves the ends of a 95 % interval by .025 standard errors, that of 1000 resamples by .085."""


class BootstrapConfig(FrozenModel):
    """How the uncertainty of reported numbers is computed."""

    resamples: Annotated[int, Field(ge=100, le=100_000)] = 1000
    """Times that the rows are drawn anew."""
    level: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Two-sided, of the intervals."""
    method: Method = "bca"
    """BCa corrects bias and skewness of the percentiles, and falls back on them where it is undefined."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the draws."""

    def generator(self) -> np.random.Generator:
        """A fresh generator from the seed; its bits cost half of what those of numpy's default cost."""
        return np.random.Generator(np.random.PCG64DXSM(self.seed))


class Interval(FrozenModel):
    """A number with its bootstrap distribution. None where the number is undefined."""

    value: float | None
    """On the sample itself."""
    mean: float | None
    """Of the resamples."""
    std: float | None
    """Of the resamples: the standard error of the number."""
    lower: float | None
    upper: float | None
    method: Method
    """Of this interval: percentile where BCa is undefined."""
    resamples: Annotated[int, Field(ge=0)]
    """Those in which the number was defined."""


@dataclass(frozen=True, slots=True, eq=False)
class Resampled:
    """The bootstrap of a set of statistics."""

    intervals: Mapping[str, Interval]
    draws: Mapping[str, Float]
    """``(resamples,)`` values of each statistic, NaN where it was undefined."""


def bootstrap(
    statistics: Mapping[str, Statistic],
    *,
    strata: Integer,
    clusters: Text,
    config: BootstrapConfig,
    generator: np.random.Generator,
) -> Resampled:
    """Evaluate all ``statistics`` on the same resamples of ``n`` rows.

    ``clusters`` ``(n,)`` names what is drawn: rows of one name are drawn together, or not. ``strata`` ``(n,)``, a few
    different numbers such as the classes, says what is kept: each resample has as many clusters of each stratum as the
    sample, where the stratum of a cluster is the set of its rows' strata. So the rows of each stratum keep their number
    where no cluster is larger than others, and a stratum of a single cluster does not vary.

    The same generator state, statistics and rows give the same numbers. Without rows everything is undefined. Raises
    `Stage1Error` where strata and clusters differ in length.
    """
    n = len(strata)
    if len(clusters) != n:
        raise Stage1Error(f"{n} strata and {len(clusters)} clusters; give one of each for every row")
    if n == 0:
        undefined = {name: np.full(config.resamples, np.nan) for name in statistics}
        return Resampled({name: _interval(np.nan, draws, None, config) for name, draws in undefined.items()}, undefined)
    drawn = Clusters.of(strata, clusters, reading_order(statistics, n))
    evaluate = evaluation_of(statistics, drawn.of_row, len(drawn))
    at_once = max(1, WEIGHTS_AT_ONCE // n)
    draws = _joined(
        evaluate(drawn.draw(generator, min(at_once, config.resamples - done)))
        for done in range(0, config.resamples, at_once)
    )
    sample = evaluate(np.ones((1, len(drawn)), dtype=np.uint8))
    accelerations: dict[str, float | None] = dict.fromkeys(statistics)
    if config.method == "bca":
        blocks = drawn.blocks(generator, JACKKNIFE_BLOCKS)
        jackknife = _joined(map(evaluate, blocks.left_out(at_once)))
        accelerations |= {name: acceleration(values, blocks.strata) for name, values in jackknife.items()}
    return Resampled(
        {name: _interval(float(sample[name][0]), draws[name], accelerations[name], config) for name in statistics},
        draws,
    )


def _joined(chunks: Iterable[dict[str, Float]]) -> dict[str, Float]:
    """Values of one chunk of resamples after the other; nothing where there are no chunks."""
    every = list(chunks)
    return {name: np.concatenate([chunk[name] for chunk in every]) for name in every[0]} if every else {}


def _interval(value: float, draws: Float, acceleration: float | None, config: BootstrapConfig) -> Interval:
    """The interval of a statistic with this ``value`` on the sample; percentile without an ``acceleration``."""
    defined = draws[~np.isnan(draws)]
    if np.isnan(value) or len(defined) < 2:
        return Interval(
            value=None if np.isnan(value) else value,
            mean=None,
            std=None,
            lower=None,
            upper=None,
            method="percentile",
            resamples=len(defined),
        )
    tails = np.array([1 - config.level, 1 + config.level]) / 2
    shares = None if acceleration is None else bca_shares(value, defined, acceleration, tails)
    lower, upper = np.quantile(defined, tails if shares is None else shares)
    return Interval(
        value=value,
        mean=float(defined.mean()),
        std=float(defined.std(ddof=1)),
        lower=float(lower),
        upper=float(upper),
        method="percentile" if shares is None else "bca",
        resamples=len(defined),
    )
