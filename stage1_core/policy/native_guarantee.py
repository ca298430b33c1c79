"""What selective conformal risk control itself promises (SCRC-I), beside what is certified of pictures that exit."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from stage1_core.config import FrozenModel
from stage1_core.metrics.conformal_budget import SelectionRate, crc_budget, dkw_budget
from stage1_core.metrics.risk import RiskEstimate, fnr_on_exited
from stage1_core.policy.selective_conformal import (
    LARGEST_TAU,
    SelectiveScores,
    conformal_sets,
    selected_positives,
    selection_threshold,
    set_threshold,
)
from stage1_core.predictions import Float, Integer

Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=0)]


class FixedSelection(FrozenModel):
    """SCRC-I, split form: lambda1 was chosen on other rows, so the selected ones are as good as drawn afresh.

    The promise is exact, in expectation over calibration sets, for selected positives; it says nothing of exited ones.
    A lambda1 that was searched for on the calibration rows voids it.
    """

    kind: Literal["scrc_i_split"] = "scrc_i_split"
    lambda1: float
    """Smallest selection score that is selected, in the units of the score."""

    def threshold(self, selection: Float) -> float:
        """lambda1; the ``(n,)`` scores are not looked at."""
        return self.lambda1

    def budget(self, alpha: float, rate: SelectionRate) -> int | None:
        """How many selected calibration positives may be missed; None where not even zero."""
        return crc_budget(rate.selected, alpha)


class QuantileSelection(FrozenModel):
    """SCRC-I with the Dvoretzky-Kiefer-Wolfowitz bound: lambda1 is a quantile of the calibration rows themselves.

    The promise is one in expectation over calibration sets, for selected positives, and holds where the bound on the
    selection rate does, that is but for a probability delta_s; lambda1, which knows no label, is treated as fixed. It
    says nothing of exited positives.
    """

    kind: Literal["scrc_i_dkw"] = "scrc_i_dkw"
    selection_rate: Share
    """Share of all calibration rows, of both classes, that is selected; with ties at lambda1 more."""

    def threshold(self, selection: Float) -> float:
        """lambda1 for ``(n,)`` scores. Raises `PolicyError` without any."""
        return selection_threshold(selection, self.selection_rate)

    def budget(self, alpha: float, rate: SelectionRate) -> int | None:
        """How many selected calibration positives may be missed; None where not even zero."""
        return dkw_budget(rate.positives, alpha, rate.lower_bound)


AnySelection = Annotated[FixedSelection | QuantileSelection, Field(discriminator="kind")]
"""Where lambda1 comes from; `kind` is the variant of the method."""


class NativeGuarantee(FrozenModel):
    """The promise of the method itself, with the counts behind it.

    In expectation over calibration sets, at most alpha of the *selected* positives are missed, where {0, 1} is no miss.
    It says nothing of *exited* positives, whose FNR is larger: that of the selected ones, divided by the share of them
    that exits. All counts are of the calibration rows, which also chose tau: they are no estimates on fresh rows.
    """

    variant: Literal["scrc_i_split", "scrc_i_dkw"]
    alpha: Share
    """Ceiling of the expected risk, as a fraction."""
    lambda1: float
    """Smallest selection score that is selected, in the units of the score."""
    tau: Annotated[float, Field(ge=0, le=LARGEST_TAU)] | None
    """P(roadwork) below which a selected picture is called 0, and above 1 - tau 1; None where no miss is allowed for,
    so that nothing may exit."""
    budget: Count | None
    """Selected positives that may be missed; None where the positives do not suffice for a budget of zero."""
    positives: Count
    selected_positives: Count
    exited_positives: Count
    """Selected positives with one class left."""
    misses: Count
    """Positives that were called 0. All of them are exited, and so selected."""
    delta_s: Share
    """Probability, over calibration sets, that the bound on the selection rate does not hold."""
    selection_rate_lower_bound: Annotated[float, Field(ge=0, le=1)]
    """Dvoretzky-Kiefer-Wolfowitz bound on P(selected given y = 1); a part of the promise for scrc_i_dkw only."""
    mean_set_size: Annotated[float, Field(ge=1, le=2)] | None
    """Classes left in the sets of all selected rows, positive or not; None where none is selected."""

    @property
    def lambda2(self) -> float | None:
        """1 - tau: the probability of the likelier class above which a selected picture exits."""
        return None if self.tau is None else 1 - self.tau

    @property
    def selection_rate(self) -> float | None:
        """Share of the positives that is selected; None without positives."""
        return RiskEstimate(self.selected_positives, self.positives).rate

    @property
    def fnr_on_selected(self) -> RiskEstimate:
        """Misses of selected positives: what the promise speaks of."""
        return RiskEstimate(self.misses, self.selected_positives)

    @property
    def fnr_on_exited(self) -> RiskEstimate:
        """Misses of exited positives: what the promise says nothing of."""
        return RiskEstimate(self.misses, self.exited_positives)

    @property
    def exited_of_selected(self) -> float | None:
        """Share of the selected positives with one class left; None where none is selected."""
        return RiskEstimate(self.exited_positives, self.selected_positives).rate

    def in_words(self) -> str:
        """The promise in one sentence, with its limits."""
        if self.tau is None:
            return f"no promise: {self.selected_positives} selected positives are too few for alpha = {self.alpha:g}"
        return (
            f"in expectation over calibration sets, at most {self.alpha:g} of the selected positives are called 0 "
            "({0, 1} counts as right); says nothing of exited ones"
        )


def native_guarantee(
    scores: SelectiveScores, labels: Integer, selection: AnySelection, *, alpha: float, delta_s: float
) -> NativeGuarantee:
    """What SCRC-I promises from ``n`` independent calibration rows with ``(n,)`` labels.

    ``alpha`` is the ceiling of the expected risk and ``delta_s`` the probability that the bound on the selection rate
    may fail, both fractions. Raises `PolicyError` when rows and labels do not match or a quantile is asked of no rows.
    """
    lambda1 = selection.threshold(scores.selection)
    p1 = scores.p1[selected_positives(scores, labels, lambda1)]
    rate = SelectionRate(len(p1), int(np.count_nonzero(labels == 1)), delta_s)
    budget = selection.budget(alpha, rate)
    tau = set_threshold(p1, budget)
    decisions = conformal_sets(scores, lambda1, tau)
    set_sizes = decisions.prediction_set[scores.selection >= lambda1].sum(axis=1)
    exited = fnr_on_exited(decisions, labels)
    return NativeGuarantee(
        variant=selection.kind,
        alpha=alpha,
        lambda1=lambda1,
        tau=tau,
        budget=budget,
        positives=rate.positives,
        selected_positives=rate.selected,
        exited_positives=exited.trials,
        misses=exited.events,
        delta_s=delta_s,
        selection_rate_lower_bound=rate.lower_bound,
        mean_set_size=float(set_sizes.mean()) if len(set_sizes) else None,
    )
