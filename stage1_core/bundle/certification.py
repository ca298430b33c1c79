"""Whether a policy's certificate says what its counts say. Arithmetic alone: no data, no model."""

from __future__ import annotations

from stage1_core.metrics.intervals import binomial_p_value, clopper_pearson_upper
from stage1_core.policy import AnyPolicy
from stage1_core.splits import CERTIFYING

_ROUNDING = 1e-9


def certificate_problem(policy: AnyPolicy) -> str | None:
    """What is wrong with the certificate, in words; None where nothing is, or where nothing exits.

    Recomputes the exact bound and the p-value from events and trials, and asks whether the threshold in force is a
    certified one, with the counts of its level.
    """
    certificate = policy.certificate
    if certificate is None:
        return None
    constraint = certificate.constraint
    bound = clopper_pearson_upper(certificate.events, certificate.trials, constraint.confidence)
    if abs(bound - certificate.upper_bound) > _ROUNDING:
        return f"the upper bound is stated as {certificate.upper_bound:.6g}, the counts give {bound:.6g}"
    if bound > constraint.max_risk + _ROUNDING:
        return f"the upper bound {bound:.6g} lies above the ceiling {constraint.max_risk:.6g}"
    least = binomial_p_value(certificate.events, certificate.trials, constraint.max_risk)
    if not least - _ROUNDING <= certificate.p_value <= constraint.delta + _ROUNDING:
        return f"the p-value {certificate.p_value:.6g} must lie between {least:.6g} and {constraint.delta:.6g}"
    if certificate.purpose not in CERTIFYING:
        return f"rows read for {certificate.purpose} cannot certify"
    certified = {level.threshold: level for level in policy.sweep_results if level.certified}
    if policy.threshold not in certified:
        return f"the threshold {policy.threshold:.6g} is not among the certified ones"
    level = certified[policy.threshold]
    if (level.events, level.trials) != (certificate.events, certificate.trials):
        return (
            f"it counts {certificate.events} of {certificate.trials}, but the threshold in force was certified on "
            f"{level.events} of {level.trials}"
        )
    return None
