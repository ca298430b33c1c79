"""How well a logistic regression ranks drives that it has not seen, on the features of one backbone and of another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np
from pydantic import Field
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from stage1_core.config import FrozenModel
from stage1_core.data.features import Float32
from stage1_core.metrics.bootstrap import BootstrapConfig, Interval, bootstrap
from stage1_core.metrics.statistics import Statistic, auroc_of, difference_of
from stage1_core.predictions import Boolean, Float, Integer, Text

_STRENGTHS = (0.0003, 0.003, 0.03, 0.3)
_FOLDS = 3


class RankingProbe(FrozenModel):
    """Areas under the ROC curve on the same held-out drives."""

    fit_pictures: Annotated[int, Field(ge=0)]
    """Pictures that the regressions were fitted on."""
    pictures: Annotated[int, Field(ge=0)]
    """Held-out pictures: the trials behind every area."""
    drives: Annotated[int, Field(ge=0)]
    """Held-out drives: what the intervals are drawn over."""
    level: float
    """Two-sided, of the intervals."""
    areas: dict[str, Interval]
    """By the backbone's name."""
    behind: dict[str, Interval]
    """What each backbone but the first lacks to the first one's area; paired, so narrower than the areas allow."""


def rank_held_out(
    features: Mapping[str, Float32], labels: Integer, drives: Text, config: BootstrapConfig
) -> RankingProbe:
    """Fit on one half of the drives, rank the other; the first of ``features`` is what the others are compared with.

    ``features`` are ``(n, hidden)`` by backbone, labels ``(n,)`` are 0 or 1. Each backbone's penalty is chosen by
    cross-validation between drives of the first half.
    """
    held_out = _half_of(drives, config.seed)
    true = labels[held_out]
    margins = {name: _margins(values, labels, drives, held_out) for name, values in features.items()}
    areas = {name: auroc_of(margin, true) for name, margin in margins.items()}
    first, *others = areas
    gaps: dict[str, Statistic] = {f"-{name}": difference_of(areas[first], areas[name]) for name in others}
    resampled = bootstrap(
        {**areas, **gaps}, strata=true, clusters=drives[held_out], config=config, generator=config.generator()
    )
    return RankingProbe(
        fit_pictures=int((~held_out).sum()),
        pictures=int(held_out.sum()),
        drives=len(np.unique(drives[held_out])),
        level=config.level,
        areas={name: resampled.intervals[name] for name in areas},
        behind={name: resampled.intervals[f"-{name}"] for name in others},
    )


def _half_of(drives: Text, seed: int) -> Boolean:
    names = np.unique(drives)
    chosen = np.random.default_rng(seed).permutation(names)[: len(names) // 2]
    held_out: Boolean = np.isin(drives, chosen)
    return held_out


def _margins(values: Float32, labels: Integer, drives: Text, held_out: Boolean) -> Float:
    """``(held out,)`` log odds of class 1."""
    fit_on, known, groups = values[~held_out].astype(np.float64), labels[~held_out], drives[~held_out]
    model = make_pipeline(
        StandardScaler(),
        LogisticRegressionCV(
            Cs=_STRENGTHS,
            l1_ratios=(0.0,),
            cv=list(GroupKFold(_FOLDS).split(fit_on, known, groups)),
            scoring="neg_log_loss",
            max_iter=500,
            use_legacy_attributes=False,
        ),
    ).fit(fit_on, known)
    margins: Float = model.decision_function(values[held_out].astype(np.float64))
    return margins
