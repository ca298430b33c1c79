"""Our certificate against MAPIE's on the same rows, in one run: speed, coverage, and broken promises.

The peer is ``BinaryClassificationController`` on the same 100 levels, without those that no certifying positive
reaches (one of these would stop its search): once with Bonferroni-Holm, its default, which needs no ordering rows, and
once with a sequence learnt on the ordering rows, which is what ours does. Ours is `SoftmaxPolicyConfig.fit`, from raw
rows to the policy. The population is balanced and easy: the best fixed threshold lets .88 exit at 2 %.

Run: ``python -m benchmarks.certificate`` (about a minute on one core). Seeds are fixed; times are the machine's.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from mapie.risk_control import BinaryClassificationController, BinaryRisk
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import norm

from stage1_core.policy import SoftmaxPolicy, SoftmaxPolicyConfig
from stage1_core.policy.constraint import RiskConstraint
from stage1_core.policy.softmax import QuantileGrid
from stage1_core.predictions import Float, Predictions, Scores
from stage1_core.splits import Purpose

ROWS, LEVELS, DRAWS = 2000, 100, 200
ORACLE_COVERAGE = 0.88
CONSTRAINT = RiskConstraint()
CONFIG = SoftmaxPolicyConfig(grid=QuantileGrid(size=LEVELS))


def fnr(margin: float, distance: float) -> float:
    """P(called 0 given exited and y = 1) when margins N(± distance, 1) of at least ``margin`` exit."""
    missed = norm.cdf(-margin - distance)
    return float(missed / (missed + norm.sf(margin - distance)))


def coverage(margin: float, distance: float) -> float:
    """P(exited)."""
    return float(norm.cdf(-margin - distance) + norm.sf(margin - distance))


def oracle_coverage(distance: float) -> float:
    """Coverage of the laxest threshold that keeps the ceiling."""
    if fnr(0, distance) <= CONSTRAINT.max_risk:
        return 1.0
    return coverage(brentq(lambda margin: fnr(margin, distance) - CONSTRAINT.max_risk, 0, 9), distance)


def draw(rng: np.random.Generator, purpose: Purpose, distance: float) -> Predictions:
    """One set of independent rows."""
    labels = rng.integers(0, 2, ROWS)
    margins = rng.normal(np.where(labels == 1, distance, -distance))
    ids = np.array([f"{purpose}/{i}" for i in range(ROWS)])
    return Predictions(purpose, Scores(ids, np.stack([-margins / 2, margins / 2], 1)), labels, ids, ids)


def ours(order: Predictions, certify: Predictions) -> float | None:
    """The certified threshold as a probability."""
    policy = CONFIG.fit(order, certify, CONSTRAINT)
    return policy.exit_threshold if isinstance(policy, SoftmaxPolicy) else None


def mapie_holm(order: Predictions, certify: Predictions) -> float | None:
    """The same from MAPIE, corrected for all levels at once."""
    controller = controller_for(order, certify, "bonferroni_holm")
    return calibrated(controller, certify)


def mapie_sequence(order: Predictions, certify: Predictions) -> float | None:
    """The same from MAPIE, in an order learnt on the ordering rows."""
    controller = controller_for(order, certify, "split_fixed_sequence")
    controller.learn_fixed_sequence_order(probabilities(order), order.labels, binary=True)
    return calibrated(controller, certify)


def controller_for(order: Predictions, certify: Predictions, method: str) -> BinaryClassificationController:
    """A controller of the FNR on exited rows; NaN predictions stand for "goes on"."""

    def predict(probability: Float, threshold: Float) -> Float:
        called = (probability[:, 0] >= 0.5).astype(np.float64)
        called[np.maximum(probability[:, 0], 1 - probability[:, 0]) < threshold] = np.nan
        return called

    levels = CONFIG.grid.levels(order)
    levels = levels[levels <= certify.scores.confidence[certify.labels == 1].max()]
    return BinaryClassificationController(
        predict,
        BinaryRisk(lambda y, p: p == 0, lambda y, p: (y == 1) & ~np.isnan(p), higher_is_better=False),
        CONSTRAINT.max_risk,
        confidence_level=CONSTRAINT.confidence,
        best_predict_param_choice=BinaryRisk(
            lambda y, p: np.isnan(p), lambda y, p: np.ones(len(y), dtype=bool), higher_is_better=False
        ),
        list_predict_params=levels[:, None],
        fwer_method=method,
    )


def calibrated(controller: BinaryClassificationController, certify: Predictions) -> float | None:
    """The threshold with the largest coverage among the certified."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that nothing was certified
        controller.calibrate(probabilities(certify), certify.labels)
    best = controller.best_predict_param
    return None if best is None else float(np.squeeze(best))


def probabilities(rows: Predictions) -> Float:
    """``(n, 1)`` P(y = 1)."""
    return expit(rows.scores.margin_logits)[:, None]


@dataclass
class Tally:
    """What one method did over all draws."""

    method: Callable[[Predictions, Predictions], float | None]
    seconds: list[float] = field(default_factory=list)
    """Of this process: other work on the machine does not count."""
    risks: list[float] = field(default_factory=list)
    coverages: list[float] = field(default_factory=list)

    def judge(self, order: Predictions, certify: Predictions, distance: float) -> None:
        """Run once and look the result up in the population."""
        start = time.process_time()
        threshold = self.method(order, certify)
        self.seconds.append(time.process_time() - start)
        if threshold is not None:
            margin = float(logit(threshold))
            self.risks.append(fnr(margin, distance))
            self.coverages.append(coverage(margin, distance))

    def line(self, name: str) -> str:
        """One row of the report."""
        draws = len(self.seconds)
        broken = sum(risk > CONSTRAINT.max_risk for risk in self.risks) / draws
        return (
            f"{name:14} certified {len(self.risks) / draws:.2f}  coverage {sum(self.coverages) / draws:.3f}  "
            f"broken {broken:.3f}  median {1000 * np.median(self.seconds):.1f} ms"
        )


def main() -> None:
    """Print the comparison."""
    distance = brentq(lambda value: oracle_coverage(value) - ORACLE_COVERAGE, 0.8, 2.5)
    rng = np.random.default_rng(20260101)
    tallies = {"ours": Tally(ours), "MAPIE Holm": Tally(mapie_holm), "MAPIE sequence": Tally(mapie_sequence)}
    for _ in range(DRAWS):
        order, certify = draw(rng, Purpose.SELECT_MODEL, distance), draw(rng, Purpose.CERTIFY_POLICY, distance)
        for tally in tallies.values():
            tally.judge(order, certify, distance)
    print(f"{DRAWS} draws of {ROWS} ordering and {ROWS} certifying rows, {LEVELS} levels; oracle {ORACLE_COVERAGE}")
    for name, tally in tallies.items():
        print(tally.line(name))
    for name in ("MAPIE Holm", "MAPIE sequence"):
        ratio = np.median(tallies[name].seconds) / np.median(tallies["ours"].seconds)
        print(f"processor time {name} / ours {ratio:.2f}")


if __name__ == "__main__":
    main()
