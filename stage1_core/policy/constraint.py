"""What a policy promises: one risk, its ceiling, and how sure we must be."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from stage1_core.config import FrozenModel
from stage1_core.metrics.intervals import binomial_p_value
from stage1_core.metrics.risk import RISKS, RiskEstimate, exit_error, fpr_on_exited
from stage1_core.predictions import Decisions, Integer, Predictions

Ceiling = Annotated[float, Field(gt=0, lt=1)]


class Demand(NamedTuple):
    """A counted risk and the ceiling that it must keep."""

    risk: RiskEstimate
    ceiling: float

    @property
    def p_value(self) -> float:
        """Exact p-value of "the risk is above its ceiling"."""
        return binomial_p_value(self.risk.events, self.risk.trials, self.ceiling)


class RiskConstraint(FrozenModel):
    """The promise. The search, the acceptance check and the manifest all read this one object."""

    risk: Literal["fnr_on_exited", "exit_error"] = "fnr_on_exited"
    """The risk that is certified."""
    max_risk: Annotated[float, Field(gt=0, le=0.1)] = 0.02
    """Its ceiling, as a fraction."""
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.90
    """Probability, over calibration sets, that the certified policy keeps the ceiling."""
    max_exit_error: Ceiling | None = None
    """Guard, as a fraction: certified together with the risk where it is set, reported always."""
    max_fpr_on_exited: Ceiling | None = None
    """Guard on false alarms among exited pictures, as a fraction."""
    counting: Literal["one_per_group", "every_row"] = "one_per_group"
    """Rows that are counted. The certificate needs independent rows, and pictures of one group (scene, video) are not:
    one for each label of a group, or one for each group where the exit error, which pools both labels, is promised.
    "every_row" certifies only where each group is one picture, or where you know better and say so."""

    @property
    def pools_labels(self) -> bool:
        """Whether a risk is promised that counts pictures of both labels together."""
        return RISKS[self.risk].pools_labels or self.max_exit_error is not None

    @property
    def bounds_false_alarms(self) -> bool:
        """Whether something promised would be broken if everything were called roadwork."""
        return self.pools_labels or self.max_fpr_on_exited is not None

    def countable(self, rows: Predictions) -> Predictions:
        """Those of ``rows`` that the promise is counted on."""
        return rows if self.counting == "every_row" else rows.independent(across_labels=self.pools_labels)

    @property
    def counted_in_words(self) -> str:
        """Which rows are counted."""
        if self.counting == "every_row":
            return "every row, as if all were independent"
        return "one row of each group" if self.pools_labels else "one row of each group and class"

    @property
    def delta(self) -> float:
        """1 - confidence: the probability of a wrong certificate that is spent."""
        return 1 - self.confidence

    def estimate(self, decisions: Decisions, labels: Integer) -> RiskEstimate:
        """The constrained risk, counted."""
        return RISKS[self.risk](decisions, labels)

    def demands(self, decisions: Decisions, labels: Integer) -> tuple[Demand, ...]:
        """The constrained risk first, then the guards that are set."""
        demands = [Demand(self.estimate(decisions, labels), self.max_risk)]
        if self.max_exit_error is not None:
            demands.append(Demand(exit_error(decisions, labels), self.max_exit_error))
        if self.max_fpr_on_exited is not None:
            demands.append(Demand(fpr_on_exited(decisions, labels), self.max_fpr_on_exited))
        return tuple(demands)

    def p_value(self, decisions: Decisions, labels: Integer) -> float:
        """p-value of "the risk or a guard is broken": the largest of theirs, valid for the union of the nulls."""
        return max(demand.p_value for demand in self.demands(decisions, labels))
