"""How well the confidence ranks failures, and where the policy cuts the ranking."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from stage1_core.metrics.risk import coverage, exit_error
from stage1_core.metrics.risk_coverage import augrc
from stage1_core.policy.certify import Decides
from stage1_core.policy.softmax import confidence
from stage1_core.predictions import Boolean, Float, Integer, Predictions
from stage1_core.report.figures import canvas
from stage1_core.report.wording import percent


def risk_coverage_curve(ranking: Float, failure: Boolean | Integer) -> tuple[Float, Float]:
    """``(k + 1,)`` coverage and generalized risk P(failure and kept), from nothing kept to everything kept.

    One point for each of the k distinct values of ``ranking`` ``(n,)``, so ties are kept or left together. Selective
    risk is the quotient of the two. The trapezoid under the curve is AUGRC (Traub et al., arXiv 2407.01032).
    """
    n = len(ranking)
    if n == 0:
        return np.zeros(1), np.zeros(1)
    order = np.argsort(-ranking, kind="stable")
    ranked = ranking[order]
    last_of_tie = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    failures = np.cumsum(failure[order].astype(np.int64))[last_of_tie]
    return np.append(0.0, (last_of_tie + 1) / n), np.append(0.0, failures / n)


def risk_coverage(predictions: Predictions, policy: Decides) -> Figure:
    """Selective risk (exit error) and generalized risk over coverage, with the policy's operating point.

    The curves rank all rows by the probability of the likelier class. AUGRC is in the legend.
    """
    figure = canvas.new_figure()
    axes = figure.add_subplot()
    n = len(predictions)
    canvas.dress(axes, x=f"coverage: share of pictures kept, most confident first (n = {n:,})", y="risk")
    canvas.percent_axis(axes, "x")
    canvas.percent_axis(axes, "y")
    axes.set_xlim(0, 1)
    if n == 0:
        canvas.title(axes, "Risk and coverage")
        canvas.note(axes, "no pictures")
        return canvas.describe(figure, "Risk over coverage: there are no pictures.")

    ranking = confidence(predictions.scores)
    failure = (predictions.scores.margin_logits >= 0) != (predictions.labels == 1)
    kept, generalized = risk_coverage_curve(ranking, failure)
    selective = generalized[1:] / kept[1:]
    area = augrc(ranking, failure)
    axes.plot(kept[1:], selective, color=canvas.BLUE, linewidth=1.8, label="selective risk: wrong, of those kept")
    label = f"generalized risk: wrong and kept, of all (AUGRC {area:.4f})"
    axes.plot(kept, generalized, color=canvas.ORANGE, linewidth=1.8, linestyle=(0, (6, 2)), label=label)

    decisions = policy.decide(predictions.scores)
    exits, errors = coverage(decisions, predictions.labels), exit_error(decisions, predictions.labels)
    if exits.rate is None or errors.rate is None:
        finding = "Nothing exits: exit error is undefined (0 trials)"
    else:
        finding = f"{percent(exits.rate)} exit with an exit error of {percent(errors.rate)}"
        finding += f" ({errors.events:,} of {errors.trials:,})"
        canvas.ring(axes, exits.rate, errors.rate, colour=canvas.VERMILLION, label="operating point")
    # The first few kept pictures give wild selective risks; the frame follows the curve where it means something.
    settled = selective[kept[1:] >= min(0.1, kept[-1])]
    axes.set_ylim(0, max(1.15 * float(settled.max()), 1.3 * (errors.rate or 0.0), 0.01))
    canvas.title(axes, finding)
    canvas.legend_below(axes)
    return canvas.describe(
        figure, f"Risk over coverage. {finding}. AUGRC {area:.4f}, error of all {percent(generalized[-1])}."
    )
