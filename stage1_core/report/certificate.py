"""The promise and the count behind it, or what is missing for one."""

from __future__ import annotations

from stage1_core.policy import AnyPolicy, NoExit
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.report.markup import Html, element, facts, section
from stage1_core.report.wording import RISK_NAMES, percent, promise, seen, threshold_name


def certificate_section(policy: AnyPolicy, constraint: RiskConstraint) -> Html:
    """Promise, rule, count, bound and the rows they rest on."""
    pairs = _promise_facts(constraint)
    if isinstance(policy, NoExit):
        pairs["rule"] = policy.rule_in_words()
        pairs["outcome"] = policy.shortfall.message
        pairs["levels looked at"] = f"{len(policy.sweep_results)}"
        return section("Certificate", facts("None: the policy lets nothing exit", pairs))
    certificate = policy.certificate
    pairs |= {
        "rule": policy.rule_in_words(),
        RISK_NAMES[certificate.constraint.risk]: seen(certificate.events, certificate.trials),
        "exact upper bound": percent(certificate.upper_bound),
        "p-value": f"{certificate.p_value:.3g}, needs ≤ {certificate.constraint.delta:.3g}",
        "coverage when certified": percent(policy.coverage),
        "exit accuracy when certified": _accuracy(policy.exit_accuracy),
        "levels tested": f"{certificate.levels_tested} of {len(policy.sweep_results)}",
        "levels differ in": threshold_name(policy)[1],
        "ordered on, certified on": f"{policy.order_split}, {policy.certify_split} ({certificate.purpose})",
        "certifying rows (sha256)": element("code", certificate.rows_digest),
        "ordering rows (sha256)": element("code", certificate.order_rows_digest),
        "tested sequence (sha256)": element("code", certificate.candidates_digest),
    }
    return section("Certificate", facts("Fixed-sequence test, exact binomial bound", pairs))


def _promise_facts(constraint: RiskConstraint) -> dict[str, str]:
    pairs = {"promise": promise(constraint), "confidence": percent(constraint.confidence)}
    for name, ceiling in (("exit error", constraint.max_exit_error), ("FPR on exited", constraint.max_fpr_on_exited)):
        if ceiling is not None:
            pairs[f"guard on {name}"] = f"at most {percent(ceiling)}, certified together with the promise"
    return pairs


def _accuracy(share: float | None) -> str:
    return "undefined (0 trials)" if share is None else percent(share)
