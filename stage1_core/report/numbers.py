"""The numbers behind the verdict: certificate, evaluation, sources."""

from __future__ import annotations

from collections.abc import Sequence

from stage1_core.acceptance import CountedRisk
from stage1_core.metrics.suite import Evaluation, ExitQuality, ModelQuality, SourceQuality
from stage1_core.policy import AnyPolicy, NoExit, SoftmaxPolicy
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.report.markup import Html, element, facts, table
from stage1_core.report.verdict import promise
from stage1_core.report.wording import RISK_NAMES, RISK_SENTENCES, percent

EXIT_ROWS = ("coverage", "fnr_on_exited", "exit_error", "fpr_on_exited", "missed_by_exit")


def certificate_section(policy: AnyPolicy, constraint: RiskConstraint) -> Html:
    """The promise and the count behind it, or what is missing for one."""
    if isinstance(policy, NoExit):
        pairs = _promise_facts(constraint)
        shortfall = policy.shortfall
        pairs["outcome"] = shortfall.message
        pairs["levels looked at"] = str(len(policy.sweep_results))
        return element("section", element("h2", "Certificate"), facts("None: the policy lets nothing exit", pairs))
    pairs = _promise_facts(constraint) | _certificate_facts(policy)
    return element("section", element("h2", "Certificate"), facts("Fixed-sequence test, exact binomial bound", pairs))


def _promise_facts(constraint: RiskConstraint) -> dict[str, str]:
    pairs = {"promise": promise(constraint), "confidence": percent(constraint.confidence)}
    for name, ceiling in (("exit error", constraint.max_exit_error), ("FPR on exited", constraint.max_fpr_on_exited)):
        if ceiling is not None:
            pairs[f"guard on {name}"] = f"at most {percent(ceiling)}, certified together with the promise"
    return pairs


def _certificate_facts(policy: SoftmaxPolicy) -> dict[str, str]:
    certificate = policy.certificate
    accuracy = "undefined (0 trials)" if policy.exit_accuracy is None else percent(policy.exit_accuracy)
    return {
        "exit threshold": f"P(likelier class) ≥ {policy.exit_threshold!r}",
        RISK_NAMES[certificate.constraint.risk]: seen(certificate.events, certificate.trials),
        "exact upper bound": percent(certificate.upper_bound),
        "p-value": f"{certificate.p_value:.3g}, needs ≤ {certificate.constraint.delta:.3g}",
        "coverage when certified": percent(policy.coverage),
        "exit accuracy when certified": accuracy,
        "levels tested": f"{certificate.levels_tested} of {len(policy.sweep_results)}",
        "ordered on, certified on": f"{policy.order_split}, {policy.certify_split} ({certificate.purpose})",
        "certifying rows (sha256)": element("code", certificate.rows_digest),
        "ordering rows (sha256)": element("code", certificate.order_rows_digest),
        "tested sequence (sha256)": element("code", certificate.candidates_digest),
    }


def evaluation_section(evaluation: Evaluation | None) -> Html:
    """Model, exits with bounds on independent rows and on all rows, and the sources."""
    heading = element("h2", "Evaluation")
    if evaluation is None:
        return element(
            "section", heading, element("p", "No evaluation was made: there is no number beyond the certificate.")
        )
    sure = percent(evaluation.confidence)
    intro = f"On rows read for {evaluation.purpose.value}. Bounds are exact, one-sided, at {sure}."
    return element(
        "section",
        heading,
        element("p", intro, class_="muted"),
        _exit_table("Exits, one row for each group and label: the bounds hold for these", evaluation.exits),
        _exit_table("Exits, all rows: rows of a group are not independent", evaluation.exits_on_all_rows),
        _model_table(evaluation.model),
        _source_table(evaluation.sources, sure),
    )


def seen(events: int, trials: int) -> str:
    """Rate with its count; without trials the rate is undefined, not zero."""
    return f"{percent(events / trials)} ({events:,} of {trials:,})" if trials else "undefined (0 trials)"


def _exit_table(caption: str, exits: ExitQuality) -> Html:
    rows = []
    for name in EXIT_ROWS:
        risk: CountedRisk = getattr(exits, name)
        rate = percent(risk.events / risk.trials) if risk.trials else "undefined (0 trials)"
        counts = [f"{risk.events:,} / {risk.trials:,}", rate]
        bounds = [percent(risk.lower_bound), percent(risk.upper_bound)] if risk.trials else ["undefined"] * 2
        label = element("span", RISK_NAMES[name], title=RISK_SENTENCES[name])
        rows.append([label, *counts, *bounds])
    headers = ["quantity", "events / trials", "rate", "lower bound", "upper bound"]
    return table(caption, headers, rows, class_="numbers")


def _model_table(model: ModelQuality) -> Html:
    fractions = ("accuracy", "balanced_accuracy", "majority_accuracy", "ece")
    names = {
        "accuracy": "accuracy",
        "majority_accuracy": "majority baseline",
        "balanced_accuracy": "balanced accuracy",
        "mcc": "MCC",
        "auroc": "AUROC",
        "ece": "ECE, 10 bins",
        "brier": "Brier",
        "nll": "NLL (nats)",
        "augrc": "AUGRC",
    }
    values: list[str] = []
    for field in names:
        value: float | None = getattr(model, field)
        values.append(_undefined(model) if value is None else percent(value) if field in fractions else f"{value:.4f}")
    caption = f"Model before any policy: {model.rows:,} rows, {model.positives:,} with roadwork"
    return table(caption, ["", *names.values()], [["all rows", *values]], class_="numbers")


def _undefined(model: ModelQuality) -> str:
    return "undefined (0 rows)" if model.rows == 0 else "undefined (one class)"


def _source_table(sources: Sequence[SourceQuality], sure: str) -> Html:
    headers = ["source", "rows", "roadwork", "accuracy", "AUROC", "coverage", "FNR on exited", f"upper bound ({sure})"]
    rows = []
    for part in sources:
        model, coverage, fnr = part.model, part.exits.coverage, part.exits.fnr_on_exited
        rows.append(
            [
                part.source,
                f"{model.rows:,}",
                f"{model.positives:,}",
                _undefined(model) if model.accuracy is None else percent(model.accuracy),
                _undefined(model) if model.auroc is None else f"{model.auroc:.4f}",
                percent(coverage.events / coverage.trials) if coverage.trials else "undefined (0 trials)",
                seen(fnr.events, fnr.trials),
                percent(fnr.upper_bound) if fnr.trials else "undefined",
            ]
        )
    return table("By source, all rows: a description, not a certificate", headers, rows, class_="numbers")
