"""What selective conformal risk control itself promises, apart from the certificate."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from stage1_core.policy import ScrcPolicy
from stage1_core.report.markup import Html, element, facts, section
from stage1_core.report.wording import percent, seen

HEADING = "What the method itself promises"

VARIANTS: Mapping[str, str] = MappingProxyType(
    {
        "scrc_i_split": "SCRC-I for a λ₁ that was fixed on other rows",
        "scrc_i_dkw": "SCRC-I with a bound on the selection rate (Dvoretzky-Kiefer-Wolfowitz)",
    }
)

INTRODUCTION = (
    "Selective conformal risk control, by itself, speaks of pictures that are selected, not of those that exit, and on "
    "average over calibration sets, not at a confidence. Its thresholds are its own, not those in force. Nothing here "
    "is a reason for release; the certificate is."
)


def method_promise_section(policy: ScrcPolicy) -> Html:
    """The promise in words, the counts behind it, and what it leaves open: the misses among those that exit."""
    found, confidence = policy.bounds, policy.constraint.confidence
    pairs = {
        "promise": found.in_words(),
        "method": VARIANTS[found.variant],
        "selects": f"P(stage A is right) ≥ {found.lambda1!r}, as {policy.order_split} chose it",
        "sets of what is selected": _sets(found.tau),
        "ceiling α, on average": percent(found.alpha),
        "roadwork selected": seen(found.selected_positives, found.positives),
        "lower bound of that share": f"{percent(found.selection_rate_lower_bound)}, wrong in at most "
        f"{percent(found.delta_s)} of calibration sets",
        "misses allowed for": "not even 0" if found.budget is None else f"{found.budget:,}",
        "missed, of roadwork selected": seen(found.misses, found.selected_positives),
        "missed, of roadwork that exits": seen(found.misses, found.exited_positives),
        f"exact upper bound of the latter ({percent(confidence)})": _bound(policy),
        "mean size of the sets": "undefined (0 rows)" if found.mean_set_size is None else f"{found.mean_set_size:.4f}",
    }
    caption = "In expectation, of selected rows; counted on the certifying rows, which also chose τ"
    return section(HEADING, element("p", INTRODUCTION), facts(caption, pairs))


def _sets(tau: float | None) -> str:
    if tau is None:
        return "{0, 1} always: nothing exits"
    return f"{{0}} where P(roadwork) < {tau:.4g}, {{1}} where it is > {1 - tau:.4g}, else {{0, 1}}"


def _bound(policy: ScrcPolicy) -> str:
    risk = policy.bounds.fnr_on_exited
    if risk.trials == 0:
        return "undefined (0 trials)"
    return f"{percent(risk.upper_bound(policy.constraint.confidence))}, were τ fixed beforehand"
